"""How a word is said, in the ARPAbet of pocketsphinx: for names and new words that its dictionary lacks."""

from __future__ import annotations

from spinbot_workers.voice.phonemes import read

_LONGEST_FIRST = (
    ("tʃ", "CH"), ("dʒ", "JH"), ("aɪ", "AY"), ("aʊ", "AW"), ("eɪ", "EY"), ("oʊ", "OW"), ("ɔɪ", "OY"), ("ɑːɹ", "AA R"),
    ("ɔːɹ", "AO R"), ("ɪɹ", "IH R"), ("ʊɹ", "UH R"), ("ɛɹ", "EH R"), ("ɜː", "ER"), ("əl", "AH L"), ("iə", "IY AH"),
    ("ɑː", "AA"), ("ɔː", "AO"), ("iː", "IY"), ("uː", "UW"), ("ɚ", "ER"), ("ɝ", "ER"), ("æ", "AE"), ("ʌ", "AH"),
    ("ə", "AH"), ("ɐ", "AH"), ("ɔ", "AO"), ("ɑ", "AA"), ("ɒ", "AA"), ("ɛ", "EH"), ("e", "EY"), ("ɪ", "IH"),
    ("ᵻ", "IH"), ("i", "IY"), ("ʊ", "UH"), ("u", "UW"), ("o", "OW"), ("a", "AA"), ("b", "B"), ("d", "D"), ("ð", "DH"),
    ("f", "F"), ("ɡ", "G"), ("h", "HH"), ("j", "Y"), ("k", "K"), ("l", "L"), ("m", "M"), ("n", "N"), ("ŋ", "NG"),
    ("p", "P"), ("ɹ", "R"), ("r", "R"), ("s", "S"), ("ʃ", "SH"), ("t", "T"), ("ɾ", "T"), ("ʔ", "T"), ("θ", "TH"),
    ("v", "V"), ("w", "W"), ("x", "K"), ("z", "Z"), ("ʒ", "ZH"),
)  # fmt: skip


def pronunciation(word: str) -> str:
    """`kayla` -> `K EY L AH`, from espeak-ng's IPA; a schwa for a word it cannot say."""
    sentence = read(word)
    ipa = "".join(symbol for symbol in sentence.symbols if symbol not in "ˈˌ^$.") if sentence else ""
    phones: list[str] = []
    while ipa:
        for symbol, phone in _LONGEST_FIRST:
            if ipa.startswith(symbol):
                phones.append(phone)
                ipa = ipa[len(symbol) :]
                break
        else:
            ipa = ipa[1:]  # length and nasal marks
    return " ".join(phones) or "AH"
