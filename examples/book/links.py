"""Takes documents of the repository into the book: each fact has one home, and the book shows it.

A line `{{#include PATH}}` becomes that file, and the links of a page lead to the chapter that shows what they
name. What the book does not show is named by its path in the repository. mdBook runs this before its own
preprocessors, gives the book as JSON on stdin and reads it back from stdout. Anything that is not there is an error.
"""

import json
import os
import re
import sys

BOOK = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(BOOK, "src")
ROOT = os.path.dirname(os.path.dirname(BOOK))
INCLUDE = re.compile(r"^\{\{#include ([^}\s]+)\}\}$", re.MULTILINE)
FENCE = re.compile(r"^ {0,3}(```+|~~~+)")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")
ELSEWHERE = re.compile(r"^([a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def document(path):
    """The file that stands for `path`: of a folder, its README."""
    readme = os.path.join(path, "README.md")
    return os.path.normpath(readme if os.path.isfile(readme) else path)


def chapters(items):
    for item in items:
        chapter = item.get("Chapter") if isinstance(item, dict) else None
        if chapter and chapter.get("path"):
            yield chapter
            yield from chapters(chapter["sub_items"])


def shown_in(all_chapters):
    """Which chapter shows which file: itself, and what it includes."""
    shown = {}
    for chapter in all_chapters:
        own = os.path.join(SOURCE, chapter["source_path"])
        shown[os.path.normpath(own)] = chapter["path"]
        for name in INCLUDE.findall(chapter["content"]):
            shown.setdefault(os.path.normpath(os.path.join(os.path.dirname(own), name)), chapter["path"])
    return shown


def leading(text, folder, chapter, shown):
    """`text`, which was written for `folder`, with links that lead somewhere from `chapter`."""

    def turned(match):
        image, words, target = match.groups()
        path, hash_mark, anchor = target.partition("#")
        if ELSEWHERE.match(target) or not path:
            return match.group(0)
        file = document(os.path.join(folder, path))
        if not os.path.exists(file):
            raise FileNotFoundError(f"{chapter}: {target} leads to nothing")
        if file in shown and not image:
            there = os.path.relpath(shown[file], os.path.dirname(chapter) or ".")
            return f"[{words}]({there}{hash_mark}{anchor})"
        name = os.path.relpath(file, ROOT)
        return words if name in words else f"{words} (`{name}`)"

    lines, fence = [], None
    for line in text.split("\n"):
        mark = FENCE.match(line)
        if fence:
            fence = None if mark and line.strip() == fence else fence
        elif mark:
            fence = mark.group(1)
        else:
            line = LINK.sub(turned, line)
        lines.append(line)
    return "\n".join(lines)


def whole(chapter, shown):
    folder = os.path.dirname(os.path.join(SOURCE, chapter["source_path"]))
    parts, done = [], 0
    for match in INCLUDE.finditer(chapter["content"]):
        parts.append(leading(chapter["content"][done : match.start()], folder, chapter["path"], shown))
        file = os.path.normpath(os.path.join(folder, match.group(1)))
        parts.append(leading(read(file), os.path.dirname(file), chapter["path"], shown))
        done = match.end()
    parts.append(leading(chapter["content"][done:], folder, chapter["path"], shown))
    return "".join(parts)


def main():
    if sys.argv[1:2] == ["supports"]:
        return
    _, book = json.load(sys.stdin)
    every = list(chapters(book["items"]))
    shown = shown_in(every)
    for chapter in every:
        chapter["content"] = whole(chapter, shown)
    json.dump(book, sys.stdout)


if __name__ == "__main__":
    main()
