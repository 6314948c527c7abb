"""Everything that a device runs: pictures, segmentation, preparation, the int8 classifier and cameras.

These modules import NumPy and the standard library at once. They import Pillow, OpenCV and the LiteRT runtime
when they are first needed, and never TensorFlow, Keras or JAX. This is where to look for what:

A picture and its answer:
    `recognizer`, `batch`: the class that is asked about pictures, and the loop over many files
    `recognition`: the answer, and the steps that lead to it
    `pictures`, `picture_files`, `picture_formats`: pictures are found and read
    `segmenters/`, `preparation`: the garment is found, and becomes a 28x28 image
    `preparer`, `whole_picture`: models of other images get the whole picture instead
    `classifier`, `quantization`, `probabilities`: the network is run
    `metrics`: answers are compared with the truth

A model file:
    `model_file`, `metadata`, `labels`: it is read, with what it states, and checked before it is run
    `runtime`: it is run, by the only module that imports LiteRT
    `shipped`: the models of this package are found
    `contents`, `contents_reader`, `flatbuffer`: its operators and tensors are read from its bytes
    `footprint`: its time and memory are measured
    `foreign_model`, `trial`: a file of another program is checked before it is run
    `foreign_classifier`: what such a file takes and gives is found out, with the help of `model_input`,
    `model_labels`, `tflite_metadata`, `first_layers` and `range_probe`

A camera:
    `camera_app`: what `cli webcam` asks for is put together
    `stream`, `controls`, `camera_state`, `smoothing`: frames of `sources/` become answers for `sinks/`
    `page/`: the page in a browser
    `camera_recognizer`: what is held up before a fixed camera is named; it says which of `camera_segmenter`,
    `empty_scene`, `scene_model`, `held_garment`, `garment_search` and `guide_box` does what
    `collected`, `near_duplicates`, `garment_crop`: pictures are kept for training
    `model_swap`, `model_comparison`: a new model is taken while the app runs
    `overlay`, `panel`, `lettering`: the answer is drawn
    `broker_address`, `redaction`: addresses are read, and their passwords are hidden
    `stop_signals`: the app is ended

The machine: `doctor/` checks it, and `service/` starts the app with it.

Drawn pictures: `drawing`, `garment_sketches`, `drawn_folder`.

All of these use:
    `callbacks`: the types of the functions by which long work reports sentences and progress
    `errors`: the errors that a user can cause
    `files`, `documents`, `npz`, `zip_entries`, `read_errors`: files are read with limits, and
    written whole or not at all
    `opencv`, `native_log`, `standard_streams`: libraries are loaded and kept quiet, and full or closed
    streams are put right
    `interrupts`: Ctrl-C is not lost during an import
    `all_cores`, `median`, `text_table`, `version`
"""
