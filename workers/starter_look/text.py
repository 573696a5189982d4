"""The words: a tokenizer with a small vocabulary of its own, and a two-layer CLIP text encoder.

The encoder learns first to name the attributes that a caption tells; without that, the UNet takes colours from
the words and ignores the mouth.
"""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from starter_look.robots import FILLERS, NOUNS, OPENERS, TAILS, WORDS, Robot, caption, draw_lots
from starter_look.training import train

LENGTH = 40  # tokens of a prompt, start and end included
WIDTH = 128


def known_words() -> list[str]:
    """Every word a caption can contain."""
    phrases = [phrase for table in WORDS.values() for many in table.values() for phrase in many]
    text = " ".join([*phrases, *FILLERS, *NOUNS, *OPENERS, *TAILS, "a an the one with and on in at robots picture"])
    return sorted(set(text.split()))


def build_tokenizer() -> CLIPTokenizer:
    """Byte-pair encoding in which each known word is one token and any other falls into pieces.

    The merges are learned here and not by the tokenizers library, whose order among equally frequent pairs
    changes from run to run: a text encoder that goes on from a checkpoint must find its words where they were.
    """
    letters = "abcdefghijklmnopqrstuvwxyz0123456789,.!?'-"
    spelled = [[*word[:-1], word[-1] + "</w>"] for word in known_words()]
    vocabulary = {piece: i for i, piece in enumerate([*letters, *(letter + "</w>" for letter in letters)])}
    merges: list[tuple[str, str]] = []
    while any(len(pieces) > 1 for pieces in spelled):
        counts = Counter(pair for pieces in spelled for pair in pairwise(pieces))
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        vocabulary.setdefault("".join(best), len(vocabulary))
        spelled = [_merged(pieces, best) for pieces in spelled]
    for mark in ("<|startoftext|>", "<|endoftext|>"):
        vocabulary[mark] = len(vocabulary)
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)


def _merged(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    """`pieces` with each occurrence of `pair` made one."""
    made: list[str] = []
    for piece in pieces:
        if made and (made[-1], piece) == pair:
            made[-1] += piece
        else:
            made.append(piece)
    return made


def build_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            hidden_act="quick_gelu",
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def tokens(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """(captions, LENGTH) int64, padded and cut as the pipelines do."""
    ids: Tensor = tokenizer(
        captions, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
    ).input_ids
    return ids


class AttributeReader(nn.Module):
    """Encoder with one learned question per attribute; only the encoder is kept."""

    def __init__(self, encoder: CLIPTextModel) -> None:
        super().__init__()
        self.encoder = encoder
        self.questions = nn.Parameter(torch.randn(len(WORDS), WIDTH) * WIDTH**-0.5)
        self.answers = nn.ModuleList(nn.Linear(WIDTH, len(table)) for table in WORDS.values())

    def forward(self, ids: Tensor) -> list[Tensor]:
        states = self.encoder(ids).last_hidden_state  # (B, LENGTH, WIDTH)
        weights = (states @ self.questions.T).softmax(1)  # (B, LENGTH, attributes)
        read = weights.transpose(1, 2) @ states  # (B, attributes, WIDTH)
        return [answer(read[:, i]) for i, answer in enumerate(self.answers)]


def labels(robots: list[Robot]) -> Tensor:
    """(robots, attributes) int64: the place of each value in its table."""
    places = {name: {key: i for i, key in enumerate(table)} for name, table in WORDS.items()}
    return torch.tensor([[places[name][getattr(robot, name)] for name in WORDS] for robot in robots])


def train_text(
    work: Path, tokenizer: CLIPTokenizer, *, steps: int, batch: int = 64, peak: float = 2e-3
) -> CLIPTextModel:
    """Pre-train the text encoder on captions alone; resumes from `work`."""
    torch.manual_seed(0)
    reader = AttributeReader(build_encoder(tokenizer))

    def loss_of(step: int) -> tuple[Tensor, dict[str, float]]:
        rng = random.Random(step)
        robots = [draw_lots(rng) for _ in range(batch)]
        answers = reader(tokens(tokenizer, [caption(robot, rng) for robot in robots]))
        true = labels(robots)
        losses = [F.cross_entropy(answer, true[:, i]) for i, answer in enumerate(answers)]
        figures = {
            name: float((answers[i].argmax(1) == true[:, i]).float().mean())
            for i, name in enumerate(WORDS)
            if name in ("color", "backdrop", "head", "mouth")
        }
        return torch.stack(losses).mean(), figures

    for _ in train("text", reader, loss_of, steps=steps, peak=peak, checkpoint=work / "text.pt"):
        pass
    return reader.encoder
