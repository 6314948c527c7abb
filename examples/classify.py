"""Names the garment in each picture: python examples/classify.py photo.jpg ..."""

import sys

from garmentlite import GarmentliteError, Recognizer

recognizer = Recognizer()  # loads the default model; build it once and use it for many pictures
for path in sys.argv[1:]:
    try:
        recognition = recognizer.recognize(path)
        print(f"{path}: {recognition.label} ({recognition.confidence:.0%})")
    except GarmentliteError as error:
        sys.exit(str(error))
