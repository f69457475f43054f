"""The texts that the tokenizer scripts encode, and small helpers they share; makes nothing when run."""

import gzip
import json
import random
import sys
import unicodedata
from importlib.metadata import version
from pathlib import Path

GOLDEN = Path(__file__).resolve().parent
FOLDER = GOLDEN / "tokenizers"


def read(name):
    """A text of golden/tokenizers, line ends as they are."""
    return (FOLDER / name).read_bytes().decode("utf-8")


def made_by(script, *packages):
    """The "madeBy" line of a JSON file: the script and the versions it ran with."""
    return ", ".join([f"golden/{Path(script).name}", *(f"{package} {version(package)}" for package in packages)])


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def write_json(path, value):
    """Writes compact UTF-8 JSON with one line end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(compact(value), encoding="utf-8", newline="\n")


def write_json_gz(path, value):
    """The same, compressed; the same bytes each time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(compact(value).encode("utf-8"), 9, mtime=0))


STEP = 0.0001  # what UnigramTrainer adds to the score of each further character that has none of its own


def fixed_order(runs):
    """(pieces and scores of a Unigram trainer in a fixed order, the characters that had no score of their own).

    Such characters get the lowest score and STEP more for each before them. The trainer goes through them in an order
    that changes from run to run; here it is that of their code points. Other scores change by less than 1e-10: they
    are rounded to 8 decimals. Several runs tell which of the characters with the lowest score have it by themselves.
    """
    scoreless = set()
    for rows in runs:
        lowest = min(score for _, score in rows)
        at = {round((score - lowest) / STEP, 5): piece for piece, score in rows if len(piece) == 1}
        count = 1
        while count in at:
            scoreless.add(at[count])
            count += 1
    rows = runs[0]
    lowest = min(score for _, score in rows)
    for other in map(dict, runs):
        same = all(abs(other[piece] - score) < (len(scoreless) * STEP if piece in scoreless else 1e-9) for piece, score in rows)
        assert same, "not the same in each run: choose other options"
    filled = {piece: lowest + index * STEP for index, piece in enumerate(sorted(scoreless))}
    rounded = [(piece, round(filled.get(piece, score), 8)) for piece, score in rows]
    return sorted(rounded, key=lambda row: (-row[1], row[0])), sorted(filled)


ENGLISH = [
    "Call me Ishmael.",
    "Some years ago--never mind how long precisely--having little or no money in my purse",
    "It was the whiteness of the whale that above all things appalled me.",
    "whales, WHALES and 12 harpooneers' oars; don't we'll they've I'M",
    "Queequeg's harpoon; the Captain's leg; James' boat; rock'n'roll; o'clock; 'tis.",
    "THE CARPET-BAG. CHAPTER 2. Loomings! Really?! Yes... (no) [maybe] {so}",
    "unhappiness antidisestablishmentarianism internationalization reharpooned",
    "He said: “Call me—if you must—‘Ishmael’.”",
    "Hello, y'all! How are you 😁 ?",
    "a",
    "A",
    "I",
    "the the the the",
    "whale-ship whale_ship whaleShip WhaleShip WHALESHIP",
    "Mr. & Mrs. O'Neil-Smith paid $1,234.56 (≈ €1.100,50) on 2024-02-29 at 23:59:59.",
]
BLANKS = [
    "",
    " ",
    "  ",
    "        ",
    "\n",
    "\n\n\n",
    "\t",
    "\r\n",
    " \n \n ",
    " a",
    "a ",
    "  a  b   c    d ",
    "\ta\tb\n\tc\r\nd\re",
    "line one\nline two\n\nline four\n\n\n   line seven",
    "trailing spaces   \n   leading spaces",
    "no\u00a0break, em\u2003space, thin\u2009space, ideographic\u3000space, line\u2028separator, next\u0085line",
    "\u3000全角の空白\u3000",
    "▁ the metaspace ▁▁ itself▁",
]
NUMBERS = [
    "0",
    "7 12 123 1234 12345 123456 1234567890",
    "3.14159 -7 +42 1e10 6.02e-23 0xFF 1_000 50% ½ ² Ⅷ ٣٤٥ 12345 ①② ४५६",
    "v1.2.3-beta+exp.sha.5114f85 192.168.0.1 10:30",
    "1+1=2, 3*4=12, 7/2=3.5, 2^10=1024",
]
CODE = [
    "def add(a, b):\n    \"\"\"Return a + b.\"\"\"\n    return a+b  # x_1 != y2\n",
    "for (let i = 0; i < n; i++) {\n\tif (a[i] !== b[i]) {\n\t\treturn `${i}: ${a[i]}`;\n\t}\n}",
    "SELECT * FROM t WHERE id=42 AND name LIKE '%o''brien%';",
    "<div class=\"a b\">&nbsp;<!-- c --></div>",
    "{\"k\": [1, 2.5e-3, null], \"é\": \"\\u00e9\\n\"}",
    "#include <stdio.h>\nint main(void){printf(\"%d\\n\",1<<3);return 0;}",
    "$ ls -la | grep '^d' && echo \"$HOME\" > /dev/null 2>&1",
    "https://example.com/a/b?c=d&e=%20f#g user.name+tag@example.co.uk",
    "    indented\n        more\n\t\tmixed \t tabs\n",
    "snake_case camelCase PascalCase kebab-case SCREAMING_CASE __dunder__ a.b.c()",
    "x=>{};/* ~!@#$%^&*()_+|}{\":?><`-=\\][';/., */",
]
CHINESE_JAPANESE_KOREAN = [
    "床前明月光,疑是地上霜。",
    "今天天气很好，我们一起去公园散步吧！你觉得怎么样？",
    "他说：“三百六十五天，每天读10页书，一年就是3650页。”",
    "機器學習與龜龍鳳鷹",
    "GPT模型v2和emoji😀混排test123测试",
    "𠮷野家で𩸽を食べる",
    "吾輩は猫である。名前はまだ無い。",
    "カタカナ ｶﾀｶﾅ ひらがな ー々〆〤",
    "안녕하세요, 세계! 한국어",
    "각 ㄱㅏㄱ",
]
ACCENTS = [
    "Déjà vu: le garçon naïf a mangé une crème brûlée à l'hôtel où l'été dure.",
    "Ångström, Übergröße, señor, smörgåsbord, Łódź, İstanbul, ıssız, façade, œuvre, ﬁne ﬂ ligature.",
    "composed é ä ñ ộ Å and combining e\u0301 a\u0308 n\u0303 o\u0302\u0323 A\u030a",
    "q\u0323\u0307 q\u0307\u0323 \u0301 alone, \u0301",
    "xin chào thế giới; dobrý den světe; cześć świecie; Đặng Ý",
    "Z̸̢̛͎a̵͚͘l̶̰͂g̷̘̿o̴̡̕",
    "ß ẞ ſ ǅ ǆ Ǆ K Å Ω ª º ⁿ ₂ ℌ ﬀ ™ ℀ ㏒ ㍿",
    "ⅣⅨ ½¼ ㊙ ㌀ Ａｂｃ１２３！？ ﷺ",
]
SCRIPTS = [
    "Привет, мир! Ёлка ёж й и\u0306",
    "Γειά σου Κόσμε. γνῶθι σεαυτόν ΣΊΣΥΦΟΣ ς",
    "שלום עולם. שָׁלוֹם",
    "مرحبا بالعالم. اَلسَّلَامُ عَلَيْكُمْ ٣٤٥",
    "سلام دنیا، می‌خواهم",
    "नमस्ते दुनिया। क्षत्रिय हिन्दी ४५६",
    "สวัสดีชาวโลก ภาษาไทยไม่มีช่องว่าง",
    "வணக்கம் உலகம் தமிழ்",
    "မင်္ဂလာပါ ကမ္ဘာ",
    "ភាសាខ្មែរ",
    "བོད་སྐད།",
    "ሰላም ልዑል",
    "გამარჯობა მსოფლიო Ⴀ",
    "Բարեւ աշխարհ և",
    "ᐃᓄᒃᑎᑐᑦ ᏣᎳᎩ ꭰ",
    "𝐛𝐨𝐥𝐝 𝔣𝔯𝔞𝔨𝔱𝔲𝔯 𝟘𝟙𝟚 𐍈 𒀀",
]
EMOJI = [
    "😀",
    "😀😃😄 🐋🐳 ❤️ ❤ ☺︎ ☺️",
    "Family 👨‍👩‍👧‍👦, coder 🧑🏽‍💻, pilot 👩🏿‍✈️",
    "flag 🏳️‍🌈 🇺🇳🇨🇳🇺 🏴󠁧󠁢󠁳󠁣󠁴󠁿 keycap 1️⃣ #️⃣ *⃣",
    "text😀text 😀 text👍🏽!",
    "¯\\_(ツ)_/¯ ʕ•ᴥ•ʔ ♥ ★ → ∑ ∞ ≠ √2 ░▒▓ ┌─┐",
]
CONTROL = [
    "\x00",
    "a\x00b\x01c\x1b[31mred\x1b[0m\x7f",
    "bell\x07 back\x08 vtab\x0b form\x0c escape\x1b delete\x7f c1\x80\x9f",
    "zero\u200bwidth non\u200cjoin\u200der soft\u00adhyphen word\u2060joiner mark\u200e\u200f\u202e\u202c",
    "\ufeffbyte order mark, \ufeff inside\ufeff",
    "replacement \ufffd, object \ufffc, private \ue000\U000f0000, not a character \ufffe\uffff",
    "tag \U000e0041\U000e007f variation \U000e0100",
]
PUNCTUATION = [
    "!",
    "!!! ??? ... --- === <<>> ((())) '''\"\"\"",
    "¡¿§¶©®™€£¥…—–«»„“”‘’",
    "a-b a–b a—b a/b a\\b a|b a_b a+b",
    "「你好」、『世界』;全形〜・《書名》【注】",
    "a.b,c;d:e!f?g",
    "-- - -a a- -a- --a--",
    " .,; .a ,b ;c",
    "|x|y||z|",
]
LONG = [
    "a" * 120,
    "ab" * 60 + "cd" * 40,
    "白日依山尽黄河入海流" * 6,
    "pneumonoultramicroscopicsilicovolcanoconiosis" * 3,
    "😀" * 30,
    "x " * 60,
    "-" * 75,
    "The Whale " * 12,
]
# each kind of tokenizer finds some of its own special tokens here
SPECIAL = [
    "<s>",
    "</s>",
    "<|endoftext|>",
    "one<|endoftext|>two <|endoftext|> three<|endoftext|><|endoftext|>\n",
    "<|im_start|>user\nHi!<|im_end|>\n<|im_start|>assistant\n",
    "almost <|endoftext| > <|endoftext <|ENDOFTEXT|> <||> < s >",
    "<|begin_of_text|><|eot_id|>hello<|eot_id|>",
    "<s>[INST] hello [/INST] hi</s>",
    "[CLS] a [SEP] b [PAD] [MASK] [UNK] [cls]",
    "the <mask> of [MASK].  The   <mask>   whale",
    "<unk> <pad> <bos><eos> <0x41> <0xFF>",
    "Paris is the [MASK]of[MASK] France <mask><mask>",
    "<tool_call>{\"name\": \"f\"}</tool_call>",
    "a Ahab AHAB ahab Ahabs xAhab Ahab! (Ahab) Ahab_1 Ahab1 Ahab-1 鯨Ahab鯨",
    "x <left> y  <left>  z<left>w <left>",
    "x <right> y  <right>  z<right>w <right>",
    "x <both> y  <both>  z<both>w <both> \n\t<both>\t\n",
    "Naïve NAÏVE naive nai\u0308ve",
    "new\nline<|endoftext|>\nline",
    " <s> <s>  <s>",
    "</s></s> a </s>",
    "one<sep>two <sep> three  <sep>  four<sep>",
    "<sep>first 海の中、深い海の底[INST]",
    "<start_of_turn>user\nhi  there <mask>\n\n    x",
]


def random_text(generator, length):
    """Assigned characters of all planes but private ones; a third are ASCII."""
    out = []
    while len(out) < length:
        limit = generator.choice([0x80, 0x80, 0x800, 0x3000, 0x10000, 0x20000])
        character = chr(generator.randrange(limit))
        if unicodedata.category(character) not in ("Cn", "Co", "Cs"):
            out.append(character)
    return "".join(out)


def random_texts():
    generator = random.Random(20)
    lengths = [1, 1, 2, 3, 5, 8, 13, 20, 20, 30, 30, 40, 40, 60, 60, 80]
    texts = [random_text(generator, length) for length in lengths]
    ascii_texts = ["".join(chr(generator.randrange(32, 127)) for _ in range(length)) for length in (5, 20, 60)]
    words = "the whale a ship of sea and 12 海 é ! , . \n  _ - ( ) 's 😀".split(" ")
    mixed = [generator.choice(["", " "]).join(generator.choices(words, k=length)) for length in (4, 9, 16, 25)]
    return texts + ascii_texts + mixed


TEXTS = [
    *ENGLISH, *BLANKS, *NUMBERS, *CODE, *CHINESE_JAPANESE_KOREAN, *ACCENTS, *SCRIPTS, *EMOJI, *CONTROL, *PUNCTUATION,
    *LONG, *SPECIAL, *random_texts(),
]  # fmt: skip

PAIRS = [
    ("Call me Ishmael.", "Some years ago."),
    ("", ""),
    ("", "b"),
    ("a", ""),
    ("Who is the captain?", "Ahab is the captain of the Pequod."),
    (" leading", " leading too "),
    ("whales", "海の鯨 whales 😀"),
    ("床前明月光", "疑是地上霜。"),
    ("é e\u0301", "🏳️‍🌈!"),
    ("one\ntwo", "three\n\nfour"),
    ("x" * 40, "y" * 40),
    ("short", "a much longer second text, which has a number 12345 and more words than the first one"),
    ("a much longer first text, which has a number 12345 and more words than the second one", "short"),
    ("<s>", "</s>"),
    ("[MASK] whale", "the <mask> whale"),
    ("<|endoftext|>", "<|im_start|>"),
    ("don't", "I'M"),
    ("مرحبا", "नमस्ते"),
    ("\x00", "\t"),
    ("1 + 1", "= 2"),
]

if __name__ == "__main__":
    print(len(TEXTS), len(set(TEXTS)), sum(map(len, TEXTS)), sys.version)
