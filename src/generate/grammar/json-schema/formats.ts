/**
 * The formats of strings, as regular expressions. Where a standard says more than those can, or programs differ, they
 * are narrower: no leap seconds, no quoted mailboxes, no Punycode.
 */

const octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const ipv4 = `(?:${octet}\\.){3}${octet}`;
const h16 = "[0-9a-fA-F]{1,4}";
/** RFC 4291, section 2.2: :: stands for one group or more, and the last two may be an IPv4 address. */
const ls32 = `(?:${h16}:${h16}|${ipv4})`;
const ipv6 = [
  `(?:${h16}:){6}${ls32}`,
  `::(?:${h16}:){5}${ls32}`,
  `(?:${h16})?::(?:${h16}:){4}${ls32}`,
  `(?:(?:${h16}:){0,1}${h16})?::(?:${h16}:){3}${ls32}`,
  `(?:(?:${h16}:){0,2}${h16})?::(?:${h16}:){2}${ls32}`,
  `(?:(?:${h16}:){0,3}${h16})?::${h16}:${ls32}`,
  `(?:(?:${h16}:){0,4}${h16})?::${ls32}`,
  `(?:(?:${h16}:){0,5}${h16})?::${h16}`,
  `(?:(?:${h16}:){0,6}${h16})?::`,
].join("|");

/** RFC 3339, section 5.6, with months of their lengths, and leap years by the Gregorian calendar. */
const leapYear = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)";
const monthDay =
  "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))";
const date = `(?:[0-9]{4}-${monthDay}|${leapYear}-02-29)`;
const hour = "(?:[01][0-9]|2[0-3])";
/** Seconds up to 59: a leap second is one at the end of a day in UTC alone, which depends on the zone behind it. */
const time = `${hour}:[0-5][0-9]:[0-5][0-9](?:\\.[0-9]+)?(?:[zZ]|[+-]${hour}:[0-5][0-9])`;

const durationTime = "T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)";
const durationDate = "(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)";

/** RFC 1123, section 2.1. Seven labels of up to 26 characters behind one of 63 stay within 253; none is Punycode. */
const labelOf = (most: number) =>
  `(?:[a-zA-Z0-9]{1,2}|[a-zA-Z0-9][a-zA-Z0-9-][a-zA-Z0-9](?:[a-zA-Z0-9-]{0,${most - 4}}[a-zA-Z0-9])?|[a-zA-Z0-9][a-zA-Z0-9-]-[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,${most - 5}}[a-zA-Z0-9])?)`;
const hostname = `${labelOf(63)}(?:\\.${labelOf(26)}){0,7}`;
const atom = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+";

const encoded = "%[0-9a-fA-F]{2}";
const unreserved = "a-zA-Z0-9._~\\-";
const delimiters = "!$&'()*+,;=";
const pathCharacter = `(?:[${unreserved}${delimiters}:@]|${encoded})`;
const segments = `(?:/${pathCharacter}*)*`;
const authority =
  `(?:(?:[${unreserved}${delimiters}:]|${encoded})*@)?` +
  `(?:\\[(?:${ipv6}|[vV][0-9a-fA-F]+\\.[${unreserved}${delimiters}:]+)\\]|(?:[${unreserved}${delimiters}]|${encoded})*)(?::[0-9]*)?`;
const tail = `(?:\\?(?:${pathCharacter}|[/?])*)?(?:#(?:${pathCharacter}|[/?])*)?`;
/** RFC 3986, appendix A. */
const uri = `[a-zA-Z][a-zA-Z0-9+.-]*:(?://${authority}${segments}|/(?:${pathCharacter}+${segments})?|${pathCharacter}+${segments})${tail}`;
const relative =
  `(?://${authority}${segments}|/(?:${pathCharacter}+${segments})?|` +
  `(?:[${unreserved}${delimiters}@]|${encoded})+${segments}|)${tail}`;

const pointer = `(?:/(?:[\\0-\\u{2e}\\u{30}-\\u{7d}\\u{7f}-\\u{10ffff}]|~[01])*)*`;

/** Patterns for whole strings, by format. */
export const formatPatterns: Readonly<Record<string, string>> = {
  date,
  time,
  "date-time": `${date}[tT]${time}`,
  duration: `P(?:${durationDate}(?:${durationTime})?|${durationTime}|[0-9]+W)`,
  email: `${atom}(?:\\.${atom})*@${labelOf(63)}(?:\\.${labelOf(26)}){1,7}`,
  hostname,
  ipv4,
  ipv6,
  uuid: "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}",
  uri,
  "uri-reference": `(?:${uri}|${relative})`,
  "json-pointer": pointer,
  "relative-json-pointer": `(?:0|[1-9][0-9]*)(?:#|${pointer})`,
};
