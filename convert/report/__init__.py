"""Pages, tables and JUnit files of results that other modules computed; nothing is computed here."""
