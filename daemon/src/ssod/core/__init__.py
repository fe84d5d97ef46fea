"""Pure decisions and formats. No socket, file, clock or thread; imports nothing of ours but the errors."""
