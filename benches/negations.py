#!/usr/bin/env python3
"""Writes data/negations.tsv: short sentences whose opinion hangs on a negation.

    python3 benches/negations.py > data/negations.tsv

Treebank sentences and reviews hold few short negations, and a model that has not seen them goes by
the opinion word alone. These sentences are made by rule from the word lists below: each opinion
word as it is, negated (the label turns), and in phrases that look negated and are not (the label
stays). The probes (data/probes.tsv) are no source of it: what is a probe is left out.
"""

import pathlib
import random
import re

PROBES = pathlib.Path(__file__).parent.parent / "data" / "probes.tsv"

THINGS = ["film", "movie", "story", "plot", "script", "acting", "cast", "ending", "dialogue", "music", "comedy", "drama", "thriller", "sequel", "pace", "direction", "performance", "picture"]
GOOD = """good great excellent funny interesting entertaining enjoyable clever original moving convincing
believable memorable exciting charming gripping impressive satisfying engaging touching hilarious smart
brilliant wonderful amazing beautiful scary compelling fresh inspired fun special worthwhile watchable
likeable perfect subtle powerful thrilling suspenseful""".split()
BAD = """bad terrible awful boring dull stupid predictable slow silly weak disappointing annoying
confusing pointless tedious horrible lame cheesy ridiculous painful forgettable shallow pretentious
depressing dumb cheap poor lazy unfunny unwatchable bland messy clumsy overlong sloppy flat tired
derivative mediocre irritating""".split()
GOOD_THINGS = ["masterpiece", "gem", "classic", "success", "triumph", "good time", "work of art", "must-see", "joy to watch", "pleasant surprise"]
BAD_THINGS = ["disaster", "mess", "failure", "waste of time", "disappointment", "chore", "bore", "rip-off", "train wreck", "letdown"]
LIKE = ["like", "enjoy", "love", "recommend", "care for", "admire", "believe in", "connect with"]
DISLIKE = ["hate", "dislike", "regret seeing", "mind", "object to", "resent"]

# {a} an opinion word, {t} a thing, {n} an opinion noun, {v} a verb of opinion.
PLAIN = ["{a}", "the {t} is {a}", "the {t} was {a}", "a {a} {t}", "really {a}", "it is {a}", "it was so {a}", "what a {a} {t}", "the {t} is {a} from start to finish", "i found it {a}", "the {t} felt {a}"]
NEGATED = ["not {a}", "not {a} at all", "not very {a}", "not that {a}", "not really {a}", "not a {a} {t}", "it is not {a}", "it isn't {a}", "the {t} is not {a}", "the {t} isn't {a}", "the {t} was not {a}", "the {t} wasn't {a}", "the {t} was not {a} at all", "the {t} isn't even {a}", "this is not a {a} {t}", "that was n't a {a} {t}", "the {t} is never {a}", "the {t} was never {a}", "never {a}", "there is nothing {a} about the {t}", "nothing {a} about it", "the {t} is anything but {a}", "far from {a}", "the {t} is far from {a}", "hardly {a}", "the {t} is hardly {a}", "i did not find it {a}", "i didn't find the {t} {a}", "i wouldn't call it {a}", "i don't think the {t} is {a}", "i don't think it was {a}", "you can't say the {t} is {a}", "nobody could call this {t} {a}", "it doesn't feel {a}", "the {t} didn't seem {a} to me", "neither {a} nor {a2}", "the {t} is neither {a} nor {a2}", "not {a} and not {a2}", "it isn't {a} or {a2}", "the {t} is by no means {a}", "in no way {a}", "without a single {a} scene", "there isn't a {a} moment in it"]
KEPT = ["not only {a} but {a2}", "not just {a}, it is {a2}", "i have never seen a more {a} {t}", "i haven't seen such a {a} {t} in years", "nothing short of {a}", "no doubt about it, the {t} is {a}", "no question, it is {a}", "you won't believe how {a} the {t} is", "i can't tell you how {a} it was", "never have i seen a {t} so {a}", "it couldn't be more {a}", "not surprisingly, the {t} is {a}"]
PLAIN_THINGS = ["a {n}", "what a {n}", "this {t} is a {n}", "the {t} is a real {n}", "it was a {n}", "a complete {n}"]
NEGATED_THINGS = ["not a {n}", "no {n}", "this {t} is not a {n}", "it isn't a {n}", "it wasn't a {n}", "the {t} is no {n}", "hardly a {n}", "i wouldn't call it a {n}", "far from a {n}", "by no means a {n}", "i don't think the {t} is a {n}"]
PLAIN_VERBS = ["i {v} it", "i {v} this {t}", "i really {v} the {t}", "we all {v} it", "you will {v} it", "i have to say i {v} this {t}"]
NEGATED_VERBS = ["i don't {v} it", "i did not {v} it", "i didn't {v} the {t}", "i didn't {v} this {t} at all", "i can't {v} this {t}", "i could n't {v} it", "i do not {v} this {t}", "you won't {v} it", "i wouldn't {v} it", "nobody will {v} this {t}", "i never {v} it", "i really didn't {v} the {t}", "we did not {v} the {t}", "no one could {v} this {t}"]
# Negated verbs without an object.
FIXED = {
    "positive": ["it never gets boring", "it does not bore you", "i wasn't bored", "i was not disappointed", "you won't be disappointed", "it doesn't disappoint", "it never disappoints", "the {t} never lets you down", "it does not waste a minute", "no wasted minutes", "i have no complaints", "no complaints about the {t}", "i can't complain about the {t}", "no weak scenes", "without a weak moment", "i couldn't stop watching", "i could not look away", "i didn't want it to end", "you don't want to miss it", "not to be missed", "don't miss this {t}", "i can't praise it enough", "i can't recommend it enough", "it couldn't be better", "it doesn't get better than this", "i would not change a thing", "it never drags", "the {t} doesn't drag", "i had no trouble following the {t}", "not one bad word about the {t}", "the {t} is not without charm", "it does not fail to entertain", "nothing about the {t} is wrong", "it didn't feel long"],
    "negative": ["it never gets going", "it does not work", "the {t} doesn't work", "it didn't make me laugh", "i did not laugh once", "it never comes to life", "it isn't worth it", "not worth your time", "not worth seeing", "it isn't worth the money", "i wouldn't watch it again", "never again", "don't bother", "do not waste your time", "don't see this {t}", "i couldn't finish it", "i could not wait for it to end", "it couldn't be worse", "it doesn't get worse than this", "the {t} makes no sense", "no plot, no point", "there is no story", "there are no laughs", "no suspense, no surprises", "without any charm", "without a good idea", "the {t} has nothing to say", "nothing happens", "nothing works", "i have nothing good to say about the {t}", "the {t} does not hold your attention", "it never finds its feet", "i do not understand the praise", "the {t} didn't do it for me", "not recommended", "can't recommend this {t}", "nobody involved seems to care", "it doesn't deliver"],
}
# Number of sentences for each combination of a template and a label.
EACH = 16


def article(text):
    """`a` before a vowel becomes `an`."""
    words = text.split()
    return " ".join("an" if word == "a" and after[0] in "aeiou" else word for word, after in zip(words, words[1:] + ["x"]))


def finished(text, rng):
    """The text as people write: often with a capital letter and a full stop."""
    if rng.random() < 0.7:
        text = text[0].upper() + text[1:] + rng.choice([".", ".", "!"])
        text = text.replace(" i ", " I ")
    return text


def words_of(text):
    """The words of a text, for comparison."""
    return re.findall(r"[\w']+", text.lower())


def main():
    rng = random.Random(0)
    probes = [words_of(line.split("\t")[2]) for line in PROBES.read_text().splitlines()]
    opposite = {"positive": "negative", "negative": "positive"}
    rows = set()

    def add(template, label, **lists):
        for _ in range(EACH):
            values = {name: rng.choice(words) for name, words in lists.items()}
            text = article(template.format(t=rng.choice(THINGS), **values))
            if words_of(text) not in probes:
                rows.add((label, finished(text, rng)))

    for label, words, things, verbs in [("positive", GOOD, GOOD_THINGS, LIKE), ("negative", BAD, BAD_THINGS, DISLIKE)]:
        turned = opposite[label]
        for template in PLAIN:
            add(template, label, a=words)
        for template in KEPT:
            add(template, label, a=words, a2=words)
        for template in NEGATED:
            add(template, turned, a=words, a2=words)
        for template in PLAIN_THINGS:
            add(template, label, n=things)
        for template in NEGATED_THINGS:
            add(template, turned, n=things)
        for template in PLAIN_VERBS:
            add(template, label, v=verbs)
        for template in NEGATED_VERBS:
            add(template, turned, v=verbs)
        for template in FIXED[label]:
            add(template, label)
    print("label\ttext")
    for label, text in sorted(rows, key=lambda row: (row[1], row[0])):
        print(f"{label}\t{text}")


if __name__ == "__main__":
    main()
