"""Files of items in, files of results out: JSON lines, text, CSV, OpenAI Batch lines.

The rooms here know neither HTTP nor threads nor the command line.
"""
