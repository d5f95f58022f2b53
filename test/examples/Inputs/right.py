"""right.py OUTPUT: how many lines of the digits program's name the digit that their file's name does."""
import os
import sys

with open(sys.argv[1]) as file:
    answers = [line.split() for line in file]
right = sum(os.path.basename(path)[0] == digit for path, digit, _ in answers)
print("%d samples, %d right" % (len(answers), right))
