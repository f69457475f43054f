/** Scripts of Unicode 9, which the reference cuts by, by the names that JavaScript knows. */
const names = `
  Latin Common Inherited Han Hiragana Katakana Cyrillic Greek Arabic Hebrew Devanagari Thai Hangul Armenian Georgian Bengali Tamil Telugu Gujarati
  Gurmukhi Kannada Malayalam Sinhala Oriya Lao Tibetan Myanmar Ethiopic Khmer Mongolian Cherokee Syriac Thaana Bopomofo Yi Canadian_Aboriginal Ogham
  Runic Coptic Gothic Braille Nko Tifinagh Balinese Javanese Sundanese Vai Tagalog Hanunoo Buhid Tagbanwa Limbu Tai_Le New_Tai_Lue Buginese Glagolitic
  Syloti_Nagri Phags_Pa Saurashtra Kayah_Li Rejang Cham Ol_Chiki Lepcha Tai_Tham Tai_Viet Samaritan Lisu Bamum Meetei_Mayek Batak Mandaic Deseret
  Shavian Osmanya Cypriot Linear_B Ugaritic Old_Persian Cuneiform Phoenician Egyptian_Hieroglyphs Old_Italic Lycian Carian Lydian Avestan Old_Turkic
  Brahmi Kaithi Chakma Miao Sharada Takri Adlam Osage Tangut Multani Ahom Anatolian_Hieroglyphs Hatran Old_Hungarian SignWriting Bassa_Vah
  Caucasian_Albanian Duployan Elbasan Grantha Khojki Khudawadi Linear_A Mahajani Manichaean Mende_Kikakui Modi Mro Nabataean Old_North_Arabian
  Old_Permic Pahawh_Hmong Palmyrene Pau_Cin_Hau Psalter_Pahlavi Siddham Tirhuta Warang_Citi Imperial_Aramaic Inscriptional_Pahlavi
  Inscriptional_Parthian Kharoshthi Old_South_Arabian Meroitic_Cursive Meroitic_Hieroglyphs Sora_Sompeng Bhaiksuki Marchen Newa
`
  .trim()
  .split(/\s+/);
const tests = names.map((name) => [name, new RegExp(`^\\p{Script=${name}}$`, "u")] as const);
const known = new Map<string, string>();

/**
 * The script of a character, as the cut by scripts sees it: Japanese is one with Chinese, a space and what no script is
 * known of belong to any.
 */
export function scriptOf(character: string): string {
  if (character === "\u30fc") return "Han";
  if (character === " ") return "Any";
  let script = known.get(character);
  if (script === undefined) {
    const name = tests.find(([, test]) => test.test(character))?.[0] ?? "Any";
    script = name === "Hiragana" || name === "Katakana" ? "Han" : name;
    known.set(character, script);
  }
  return script;
}
