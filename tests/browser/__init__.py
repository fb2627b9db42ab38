"""The pages in a real browser: by keyboard alone, on a phone, in the dark, with texts that would rather be markup."""
