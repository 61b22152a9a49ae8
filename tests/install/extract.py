"""Prints the program of a page: extract.py PAGE LANGUAGE [NUMBER]"""

import sys
from pathlib import Path

page, language, number = sys.argv[1], sys.argv[2], int((sys.argv[3:] or ["0"])[0])
blocks = [part.split("\n```")[0] for part in Path(page).read_text().split(f"```{language}\n")[1:]]
print(blocks[number])
