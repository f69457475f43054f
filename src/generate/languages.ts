/** Languages of Whisper: the code in its token and the English name. */
const table = `
  en:english, zh:chinese, de:german, es:spanish, ru:russian, ko:korean, fr:french, ja:japanese, pt:portuguese, tr:turkish, pl:polish,
  ca:catalan, nl:dutch, ar:arabic, sv:swedish, it:italian, id:indonesian, hi:hindi, fi:finnish, vi:vietnamese, he:hebrew, uk:ukrainian,
  el:greek, ms:malay, cs:czech, ro:romanian, da:danish, hu:hungarian, ta:tamil, no:norwegian, th:thai, ur:urdu, hr:croatian, bg:bulgarian,
  lt:lithuanian, la:latin, mi:maori, ml:malayalam, cy:welsh, sk:slovak, te:telugu, fa:persian, lv:latvian, bn:bengali, sr:serbian,
  az:azerbaijani, sl:slovenian, kn:kannada, et:estonian, mk:macedonian, br:breton, eu:basque, is:icelandic, hy:armenian, ne:nepali,
  mn:mongolian, bs:bosnian, kk:kazakh, sq:albanian, sw:swahili, gl:galician, mr:marathi, pa:punjabi, si:sinhala, km:khmer, sn:shona,
  yo:yoruba, so:somali, af:afrikaans, oc:occitan, ka:georgian, be:belarusian, tg:tajik, sd:sindhi, gu:gujarati, am:amharic, yi:yiddish,
  lo:lao, uz:uzbek, fo:faroese, ht:haitian creole, ps:pashto, tk:turkmen, nn:nynorsk, mt:maltese, sa:sanskrit, lb:luxembourgish, my:myanmar,
  bo:tibetan, tl:tagalog, mg:malagasy, as:assamese, tt:tatar, haw:hawaiian, ln:lingala, ha:hausa, ba:bashkir, jw:javanese, su:sundanese,
  yue:cantonese
`;
/** Other names of some. */
const others = `
  burmese:my, valencian:ca, flemish:nl, haitian:ht, letzeburgesch:lb, pushto:ps, panjabi:pa, moldavian:ro, moldovan:ro, sinhalese:si, castilian:es,
  mandarin:zh
`;

const pairsOf = (text: string) => text.split(",").map((pair) => pair.trim().split(":") as [string, string]);
const nameOf = new Map(pairsOf(table));
const codeOf = new Map([...Array.from(nameOf, ([code, name]) => [name, code] as const), ...pairsOf(others)]);

/** The English name of a language, in small letters; the code itself where there is none. */
export const languageName = (code: string): string => nameOf.get(code) ?? code;

/** The code of a language that is named as "fr", "<|fr|>" or "French". */
export function languageCode(name: string): string {
  const plain = name.toLowerCase().replace(/^<\|(.*)\|>$/, "$1");
  return codeOf.get(plain) ?? plain;
}
