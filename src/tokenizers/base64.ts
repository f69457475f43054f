/** Bytes as base64, in Node and in pages. */
export function toBase64(bytes: Uint8Array): string {
  let characters = "";
  for (const byte of bytes) characters += String.fromCharCode(byte);
  return btoa(characters);
}

/** The bytes of letters of base64; a last letter that makes no byte is passed over. */
export function fromBase64(text: string): Uint8Array {
  const letters = text.replace(/=+$/, "");
  const whole = letters.length % 4 === 1 ? letters.slice(0, -1) : letters;
  return Uint8Array.from(atob(whole), (character) => character.charCodeAt(0));
}
