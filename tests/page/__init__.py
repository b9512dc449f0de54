"""The page in a real browser, headless Chromium: `make test-page`."""
