#!/usr/bin/env python3
"""Fails unless the demo did as well as it should: check.py SUMMARY.json"""

import json
import sys

LEAST_AUROC, MOST_FALSE_ALARMS = 98.5, 3.0

with open(sys.argv[1]) as file:
    summary = json.load(file)
if summary["image_auroc"] < LEAST_AUROC or summary["false_alarms"] > MOST_FALSE_ALARMS:
    sys.exit(f"the demo fell short of {LEAST_AUROC} % AUROC at {MOST_FALSE_ALARMS} % false alarms: {summary}")
