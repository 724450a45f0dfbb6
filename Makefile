# Every task is reports/__main__.py's, which needs no make: `python -m reports all`
PYTHON ?= python3

reports:
	$(PYTHON) -m reports all

test setup lab fuzz torture strip bench bench-growth clean:
	$(PYTHON) -m reports $@

.PHONY: reports test setup lab fuzz torture strip bench bench-growth clean
