"""What every program here needs of the machine it runs on: files, folders, YAML, progress.

The lowest floor: it imports nothing of the project, and every other package may import it
(docs/adr/0014-one-runtime-package.md).
"""
