"""What we take from a tree is what the real restic takes from it: paths, rules, metadata."""

from __future__ import annotations

import json
import os
import random
from datetime import UTC
from pathlib import Path

import pytest

from repository.gotext import LocalZone
from repository.tree import encode_node, node_from_entry
from repository.tree_decode import decode_tree
from sources.local import LocalSource
from sources.patterns import PatternList
from sources.rules import Rules
from tests.sources.conftest import Restic, flags
from tests.sources.test_patterns import CASES
from tests.sources.trees import join, walk

NAMES = [
    *(b"a", b"b", b"c", b"ab", b"a.txt", b"B.TXT", b"Foo", b"x]y", b"[z]", b"a*b", b"\xff\xfe", b"a\\b"),
    *(b"!a", b"#q", b"a b", b"\xc3"),
    *(name.encode() for name in ("é", "É", "😀", "€u", "ΑΣ", "İx", "\ufffd")),
]
PARTS = [
    *(b"*", b"?", b"**", b"a", b"b", b"c", b"ab", b"a*", b"*b", b"?b", b"[ab]", b"[^a]", b"[a-c]*", b"*.txt"),
    *(
        b"*.TXT",
        b"f?o",
        b"foo",
        b"\\[z\\]",
        b"\\!a",
        b"*[\\]]*",
        b"*??*",
        b"*??",
        b"?*?",
        b"a\\*b",
        b"*\\\\*",
    ),
    *(b"..", b".", b"*\xc3*", b"\xff*", b"**b", b"a**", b"[\\a-b]*"),
    *(
        part.encode()
        for part in ("é", "[à-ö]", "[^à-ö]", "[\ufffd]", "[\u0080-\uffff]*", "[😀-😎]", "*Σ", "i*")
    ),
]


def grow(random_: random.Random, root: bytes, depth: int = 0) -> None:
    for name in random_.sample(NAMES, random_.randrange(3, 8 - depth)):
        path = os.path.join(root, name)
        if depth < 4 and random_.random() < 0.6:
            os.mkdir(path)
            grow(random_, path, depth + 1)
        else:
            Path(os.fsdecode(path)).touch()


def pattern(random_: random.Random, folders: list[bytes]) -> bytes:
    made = b"/".join(random_.choice([*PARTS, b"**"]) for _ in range(random_.choice([1, 1, 2, 3, 5])))
    if random_.random() < 0.4:
        made = random_.choice(folders) + b"/" + made
    return random_.choice([b"", b"", b"", b"!", b"//"]) + made + random_.choice([b"", b"", b"/"])


@pytest.mark.parametrize("seed", range(6))
def test_random_trees_and_patterns(seed: int, real_restic: Restic, tmp_path: Path) -> None:
    random_ = random.Random(seed)
    grow(random_, os.fsencode(tmp_path))
    folders = [folder for folder, _, _ in os.walk(os.fsencode(tmp_path))]
    exclude = [pattern(random_, folders) for _ in range(random_.randrange(1, 5))]
    iexclude = [pattern(random_, folders) for _ in range(random_.randrange(3))]
    targets = random_.sample(folders, min(len(folders), random_.randrange(1, 4)))
    rules = Rules(exclude=tuple(exclude), iexclude=tuple(iexclude))

    theirs = real_restic.backup(*flags("exclude", exclude), *flags("iexclude", iexclude), b"--", *targets)

    assert set(walk(LocalSource(targets, rules=rules))) == (theirs or set())


@pytest.mark.slow
@pytest.mark.parametrize(("patterns", "path", "left_out"), CASES)
def test_each_case_of_the_patterns(
    patterns: list[str], path: str, left_out: bool, real_restic: Restic, tmp_path: Path
) -> None:
    """Anchored patterns and paths are moved below the temporary folder; relative ones need no change."""

    def moved(text: str) -> str:
        sign, rest = ("!", text[1:]) if text.startswith("!") else ("", text)
        return sign + str(tmp_path) + rest if rest.startswith("/") else text

    place = tmp_path / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.touch()
    (tmp_path / "other").touch()
    # Nothing above the place may be matched, so the targets are those in the temporary folder.
    words = flags("exclude", [os.fsencode(moved(text)) for text in patterns])

    theirs = real_restic.backup(*words, b"--", os.fsencode(place), os.fsencode(tmp_path / "other"))

    assert (os.fsencode(place) not in (theirs or set())) == left_out


@pytest.mark.parametrize(
    "targets",
    [
        ["."],
        [".."],
        ["x"],
        ["./x/"],
        ["x", "y/x", "z/../x"],
        ["x", "../r/x"],
        ["../s/x", "x", "../../top/s/x"],
        ["x", "x/d"],
        ["x/d", "x"],
        ["link"],
        ["link/d"],
        ["link", "link/d"],
        [".", "x"],
        ["{}/x/d", "x"],
        ["{}/x", "{}/y", "{}/x"],
        ["x/d/f"],
    ],
)
def test_targets_stand_in_the_tree_where_restic_puts_them(
    targets: list[str], real_restic: Restic, tmp_path: Path
) -> None:
    here = tmp_path / "top" / "r"
    for folder in ("x/d", "y/x"):
        (here / folder).mkdir(parents=True)
        (here / folder / "f").write_text(folder)
    (tmp_path / "top" / "s" / "x").mkdir(parents=True)
    (tmp_path / "top" / "s" / "x" / "other").touch()
    (here / "link").symlink_to("x")
    given = [target.format(here) for target in targets]

    theirs = real_restic.backup("--", *given, cwd=here)

    assert set(walk(LocalSource(given, cwd=os.fsencode(here)), may_complain="link" in given)) == theirs


def test_metadata_is_what_restic_stores(real_restic: Restic, nasty: Path) -> None:
    """Each node of ours becomes the very text that restic wrote, so a tree gets the same id."""
    zone = LocalZone(UTC)
    done = real_restic("backup", "--force", "--", "nasty", cwd=nasty.parent)
    assert done.returncode == 0, done.stderr
    source = LocalSource(["nasty"], cwd=os.fsencode(nasty.parent))
    tree = bytes.fromhex(json.loads(real_restic("snapshots", "--json", "latest").stdout)[-1]["tree"])
    waiting = [(b"/", tree)]
    while waiting:
        path, tree = waiting.pop()
        nodes = decode_tree(real_restic("cat", "blob", tree.hex()).stdout)
        entries = source.list_dir(path).entries
        assert [entry.name for entry in entries] == [node.name for node in nodes]
        for entry, theirs in zip(entries, nodes, strict=True):
            ours = node_from_entry(entry, zone)
            ours.content, ours.subtree, ours.linktarget_raw = theirs.content, theirs.subtree, None
            assert encode_node(ours) == encode_node(theirs)
            if theirs.subtree and path.count(b"/") < 3:
                waiting.append((join(path, entry.name), theirs.subtree))


@pytest.mark.parametrize(
    ("words", "rules"),
    [
        (["--exclude-caches"], Rules(exclude_caches=True)),
        (["--exclude-if-present", "tag"], Rules(exclude_if_present=("tag",))),
        (["--exclude-if-present", "tag:yes"], Rules(exclude_if_present=("tag:yes",))),
        (["--exclude-if-present", "tag:"], Rules(exclude_if_present=("tag:",))),
        (["--exclude-larger-than", "1k"], Rules(exclude_larger_than=1024)),
        (["--exclude-larger-than", "3"], Rules(exclude_larger_than=3)),
    ],
)
def test_rules_about_what_stands_there(
    words: list[str], rules: Rules, real_restic: Restic, tmp_path: Path
) -> None:
    tags = {
        "cache": ("CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n"),
        "fake": ("CACHEDIR.TAG", "nothing"),
        "yes": ("tag", "yes and more"),
        "no": ("tag", "no"),
        "empty": ("tag", ""),
    }
    for folder, (name, text) in tags.items():
        (tmp_path / folder / "sub").mkdir(parents=True)
        (tmp_path / folder / name).write_text(text)
        (tmp_path / folder / "sub" / "f").write_bytes(bytes(2000))
    (tmp_path / "folder-tag" / "tag").mkdir(parents=True)
    (tmp_path / "long-link").symlink_to("long" * 300)
    (tmp_path / "exactly").write_bytes(bytes(1024))
    targets = [str(tmp_path), str(tmp_path / "yes" / "sub"), str(tmp_path / "cache" / "sub")]
    for given in (targets[:1], targets[1:]):
        theirs = real_restic.backup(*words, "--", *given)
        assert set(walk(LocalSource(given, rules=rules), may_complain=True)) == (theirs or set())


def test_an_exclude_file_is_read_as_restic_reads_it(
    real_restic: Restic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        "# comment",
        "  \u00a0trimmed \t",
        "",
        "$WORD",
        "${WORD}2",
        "$$dollar",
        "x${UNSET}y",
        "$",
        "end$",
        "${",
        "${}odd",
        "$(no)",
        "!$WORD",
        "cr\r",
        "a\x1fb\x1f",
    ]
    names = ["trimmed", "word", "word2", "$dollar", "xy", "x", "$", "end$", "{", "odd", "$(no)", "cr", "kept"]
    names += ["#q", "a\x1fb\x1f", "a\x1fb"]
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in names:
        (tree / name).touch()
    for count, encoding in enumerate(("utf-8", "utf-8-sig", "utf-16")):
        file = tmp_path / f"rules{count}"
        file.write_bytes("\n".join(lines).encode(encoding))
        monkeypatch.setenv("WORD", "word")
        rules = Rules().with_files([str(file)], environ={"WORD": "word"})
        theirs = real_restic.backup("--exclude-file", str(file), "--", str(tree))
        assert set(walk(LocalSource([tree.as_posix()], rules=rules))) == theirs


@pytest.mark.parametrize("seed", range(6))
def test_an_include_picks_what_restic_restores(seed: int, real_restic: Restic, tmp_path: Path) -> None:
    """Walk down as restic's restore does: into a folder only while something below might be picked."""
    random_ = random.Random(seed)
    tree = tmp_path / "tree"
    tree.mkdir()
    grow(random_, os.fsencode(tree))
    folders = [
        b"/" + os.path.relpath(folder, os.fsencode(tree)) for folder, _, _ in os.walk(os.fsencode(tree))
    ]
    include = [pattern(random_, folders) for _ in range(random_.randrange(1, 4))]
    assert real_restic("backup", "--force", "--", ".", cwd=tree).returncode == 0
    words = [*flags("include", include), b"--target", os.fsencode(tmp_path / "out")]
    done = real_restic("restore", "latest", *words)
    assert done.returncode == 0, done.stderr

    patterns = PatternList(include)
    picked: set[bytes] = set()
    waiting = [b"/"]
    source = LocalSource(["."], cwd=os.fsencode(tree))
    while waiting:
        folder = waiting.pop()
        for entry in source.list_dir(folder).entries:
            path = join(folder, entry.name)
            chosen, may_go_on = patterns.select(path)
            if chosen:
                picked |= {path, *_above(path)}
            if entry.kind == "dir" and may_go_on:
                waiting.append(path)
    restored = set(walk(LocalSource(["."], cwd=os.fsencode(tmp_path / "out")))) if picked else set()
    assert restored == picked
    assert (tmp_path / "out").exists() == bool(picked)


def _above(path: bytes) -> set[bytes]:
    names = path.split(b"/")
    return {b"/".join(names[:count]) for count in range(2, len(names))}
