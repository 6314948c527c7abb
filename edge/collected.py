"""Pictures of garments that the camera app keeps, for training and for comparing models.

`cli train --photos` takes the folder as it is: each class has a subfolder with a crop of each garment. The
crops have the mask as their transparency, so that training makes the same 28x28 image as the app did.

    Shirt/ID.png               a picture that a person has labelled
    unlabelled/ID.png          a picture without a label, which training leaves out
    .held-out/Shirt/ID.png     the same for pictures that are never trained on, only compared on
    .details/ID.json           when it was taken and what the model answered, on one line
    .details/ID-28x28.png      the image that the model saw
    .details/ID-frame.jpg      the whole frame, only if that was asked for

Training leaves hidden folders out. Nobody but this user can read the folders that are made here (mode 0700)
and the files (mode 0600).
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import numpy as np

from garmentlite.edge.callbacks import Say
from garmentlite.edge.documents import DocumentError, parse
from garmentlite.edge.errors import OptionError, OutputError, PictureError
from garmentlite.edge.files import read_bytes, write_bytes
from garmentlite.edge.garment_crop import garment_crop
from garmentlite.edge.labels import RESERVED, UNLABELLED, label_key
from garmentlite.edge.near_duplicates import MOST_COMPARED, NearDuplicates
from garmentlite.edge.opencv import load_opencv
from garmentlite.edge.pictures import LEAST_SIDE, MAX_SIDE, read_picture
from garmentlite.edge.preparation import TILE
from garmentlite.edge.sinks.interface import Sighting

DETAILS, HELD_OUT = ".details", ".held-out"
HELD_OUT_ONE_IN = 5  # the pictures of one in so many garments that are held up are held out
FREE_BYTES = 500 << 20  # nothing is kept if less than this is free on the disk
LONGEST_LABEL = 60  # characters
_JPEG_QUALITY = 90
_LARGEST_DETAILS = 64 << 10  # bytes; the details of a picture have about 600
_LOOK_FOR_OLD_S = 3600.0  # how often pictures that are too old are looked for
_FILE = re.compile(r"(\d{8}-\d{6})-[0-9a-f]{16}\.png")
_BESIDE = (".json", "-28x28.png", "-frame.jpg")  # ends of the names of a picture's details


@dataclass(frozen=True)
class Limits:
    """How much is kept, and for how long.

    Attributes:
        most_bytes: Size of everything that is kept. Once it is reached, the oldest pictures without a label
            are deleted to make room. Labelled pictures are only deleted by a person.
        longest_s: Seconds after which a picture without a label is deleted.
        free_bytes: Nothing is kept if less than this would be free on the disk.
    """

    most_bytes: int = 500 << 20
    longest_s: float = 30 * 86_400.0
    free_bytes: int = FREE_BYTES


@dataclass(frozen=True)
class CollectRequest:
    """What a user asks to be collected; the options `--collect...` of `cli webcam`.

    Attributes:
        folder: Where the pictures are kept.
        limits: How much is kept, and for how long.
        with_frames: Whether the whole frame is kept beside the crop.
    """

    folder: Path
    limits: Limits = Limits()
    with_frames: bool = False


@dataclass(frozen=True)
class CollectedPicture:
    """One picture that was kept.

    Attributes:
        id: The start of its files' names: when it was taken, and a random number.
        label: What a person says it shows; None for a picture without a label.
        is_held_out: Whether models are compared on it, and never trained.
        path: The crop, a PNG file.
        size: Bytes of all its files.
        time: When it was kept, in seconds since 1970.
        answer: What the app answered; None if it is not known.
        confidence: Confidence of the answer, in [0, 1]; None if it is not known.
    """

    id: str
    label: str | None
    is_held_out: bool
    path: Path
    size: int
    time: float
    answer: str | None = None
    confidence: float | None = None


class Kept(StrEnum):
    """What became of a picture that was to be kept."""

    YES = "The picture is kept."
    NO_GARMENT = "There is no garment in the picture, so it is not kept."
    NEAR_DUPLICATE = "A picture that looks nearly the same is kept already."
    FULL = (
        "The picture is not kept, because the folder is full; delete some, or raise --collect-mb."
    )
    NO_SPACE = "The picture is not kept, because there is too little free space on the disk."


class CollectedPictures:
    """Keeps, lists, labels and deletes pictures; any thread may call it.

    Attributes:
        folder: Where the pictures are.
        labels: Names of the classes of the model in use.
    """

    def __init__(
        self,
        request: CollectRequest,
        labels: Iterable[str],
        say: Say,
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        """Opens the folder, which is made if it is missing, and deletes what is too old.

        Args:
            request: Where the pictures are kept, and how many.
            labels: Names of the classes, which folder names are compared with.
            say: Called with a sentence about damaged files and full disks, each once.
            rng: Chooses the pictures that are held out; None for a random choice.

        Raises:
            OutputError: If the folder cannot be written to.
        """
        self.folder = request.folder
        self._limits = request.limits
        self._with_frames = request.with_frames
        self.labels = tuple(labels)
        self._say = say
        self._rng = rng or np.random.default_rng()
        self._lock = threading.RLock()
        self._said: set[str] = set()
        self._answers: dict[str, tuple[str, float] | None] = {}
        self.begin_hold_up()
        self._make_folder(self.folder / DETAILS)
        self._near_duplicates = NearDuplicates()
        self.delete_old(time.time())
        for picture in reversed(self._scan()[:MOST_COMPARED]):
            tile = self.tile_of(picture)
            if tile is not None:
                self._near_duplicates.add(picture.id, tile)

    def begin_hold_up(self) -> None:
        """Says that another garment is held up from now on: its pictures are all held out, or none."""
        self._is_held_out = bool(self._rng.integers(HELD_OUT_ONE_IN) == 0)

    def keep(self, sighting: Sighting, label: str | None = None) -> Kept:
        """Keeps the garment of a frame.

        Args:
            sighting: The answer to the frame.
            label: What a person says it shows; None if nobody has said it.

        Returns:
            Whether it is kept, and if not, why.

        Raises:
            OptionError: If the label cannot be that of a class.
            OutputError: If a file cannot be written.
        """
        tile, mask = sighting.answer_to_frame.image_u8, sighting.answer_to_frame.mask
        folder = self._folder_of(label, self._is_held_out)
        if tile is None or mask is None:
            return Kept.NO_GARMENT
        with self._lock:
            if self._has_near_duplicate(tile, label):
                return Kept.NEAR_DUPLICATE
            moment = datetime.fromtimestamp(sighting.clock, UTC)
            picture_id = f"{moment:%Y%m%d-%H%M%S}-{secrets.token_hex(8)}"
            files = self._files(picture_id, sighting, tile, mask, folder / f"{picture_id}.png")
            size = sum(map(len, files.values()))
            self._make_folder(self.folder / DETAILS)  # somebody may have deleted everything
            obstacle = self._make_room(size, sighting.clock)
            if obstacle:
                self._say_once(obstacle)
                return obstacle
            self._make_folder(folder)
            for path, content in files.items():
                write_bytes(path, content, is_private=True)
            self._total += size
            self._near_duplicates.add(picture_id, tile)
        return Kept.YES

    def pictures(self) -> list[CollectedPicture]:
        """Lists the pictures, the newest first; files with other names are not listed."""
        found = []
        for picture in self._scan():
            if picture.id not in self._answers:
                self._answers[picture.id] = self._read_answer(picture.id)
            answer, confidence = self._answers[picture.id] or (None, None)
            found.append(replace(picture, answer=answer, confidence=confidence))
        return found

    def tile_of(self, picture: CollectedPicture) -> np.ndarray | None:
        """Reads the 28x28 image of a picture, uint8; None, with one sentence, if it is missing or damaged."""
        path = self._details(picture.id, "-28x28.png")
        try:
            tile = read_picture(path).rgb[..., 0]
            if tile.shape != (TILE, TILE):
                raise PictureError(f"{path} is not a picture of 28x28 pixels; delete it.")
        except PictureError as error:
            self._say_once(str(error))
            return None
        return tile

    def held_out_tiles(self, labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Reads the 28x28 images of held-out pictures that a person has labelled.

        Args:
            labels: The class names in the order of their numbers; pictures of other classes are left out.

        Returns:
            images_u8, uint8 of shape (N, 28, 28), and their class numbers, int64 of shape (N,).
        """
        number = {label_key(label): class_id for class_id, label in enumerate(labels)}
        found = [
            (tile, number[label_key(one.label)])
            for one in self._scan()
            if one.is_held_out and one.label and label_key(one.label) in number
            if (tile := self.tile_of(one)) is not None
        ]
        images_u8 = np.array([tile for tile, _ in found], np.uint8).reshape(-1, TILE, TILE)
        return images_u8, np.array([class_id for _, class_id in found], np.int64)

    def relabel(self, ids: Iterable[str], label: str | None) -> int:
        """Gives pictures another label, or takes it away; returns how many were there.

        Args:
            ids: Ids of the pictures.
            label: Name of the class that a person says they show; None to take the label away.

        Raises:
            OptionError: If the label cannot be that of a class.
            OutputError: If a file cannot be moved.
        """
        wanted, moved = set(ids), 0
        with self._lock:
            for picture in self._scan():
                if picture.id not in wanted:
                    continue
                folder = self._folder_of(label, picture.is_held_out)
                self._make_folder(folder)
                try:
                    picture.path.rename(folder / picture.path.name)
                except OSError as error:
                    raise OutputError(
                        f"{picture.path} cannot be moved ({error.strerror}); check the rights of the folder."
                    ) from error
                _remove_if_empty(picture.path.parent)
                moved += 1
        return moved

    def delete(self, ids: Iterable[str]) -> int:
        """Deletes pictures with all that belongs to them; returns how many were there.

        Args:
            ids: Ids of the pictures.

        Raises:
            OutputError: If a file cannot be deleted.
        """
        wanted = set(ids)
        with self._lock:
            found = [picture for picture in self._scan() if picture.id in wanted]
            for picture in found:
                self._remove(picture)
        return len(found)

    def delete_all(self) -> int:
        """Deletes every picture that is listed, and all details; returns the number of pictures.

        Raises:
            OutputError: If a file cannot be deleted.
        """
        with self._lock:
            number = self.delete([picture.id for picture in self._scan()])
            for name in _sizes(self.folder / DETAILS):  # of pictures that were deleted by hand
                _unlink(self.folder / DETAILS / name)
        return number

    def delete_old(self, now: float) -> int:
        """Deletes pictures without a label that are too old at `now`, in seconds since 1970."""
        self._aged = now
        oldest = now - self._limits.longest_s
        with self._lock:
            return self.delete(
                [one.id for one in self._scan() if one.label is None and one.time < oldest]
            )

    # --- the parts of `keep`

    def _has_near_duplicate(self, tile: np.ndarray, label: str | None) -> bool:
        near = self._near_duplicates.of(tile)
        if label is None or not near:
            return bool(near)
        # A person's label is worth a second picture, unless the first one has this label already.
        return any(one.id in near and one.label == label for one in self._scan())

    def _files(
        self, picture_id: str, sighting: Sighting, tile: np.ndarray, mask: np.ndarray, crop: Path
    ) -> dict[Path, bytes]:
        """Makes the files of a picture; the crop comes last, because it makes the picture complete.

        Args:
            picture_id: Id of the picture.
            sighting: The answer to the frame.
            tile: uint8, shape (28, 28), the image that the network saw.
            mask: bool, shape (H, W), True on the garment.
            crop: The file of the crop.
        """
        answer = sighting.recognition
        details = {
            "id": picture_id,
            "time": datetime.fromtimestamp(sighting.clock, UTC).isoformat(timespec="seconds"),
            **answer.as_document(),
        }
        files = {
            self._details(picture_id, ".json"): json.dumps(details, ensure_ascii=False).encode()
            + b"\n",
            self._details(picture_id, "-28x28.png"): _encoded(".png", tile),
        }
        if self._with_frames:
            files[self._details(picture_id, "-frame.jpg")] = _encoded(".jpg", sighting.frame.bgr)
        # As large as the stream recognizes the frames of a camera, and still pictures.
        least_side = MAX_SIDE if sighting.frame.name is None else LEAST_SIDE
        files[crop] = _encoded(".png", garment_crop(sighting.frame.bgr, mask, least_side))
        return files

    def _make_room(self, size: int, now: float) -> Kept | None:
        """Deletes pictures without a label until a new one has room; says why it has none."""
        if shutil.disk_usage(self.folder).free - size < self._limits.free_bytes:
            return Kept.NO_SPACE
        if now - self._aged > _LOOK_FOR_OLD_S:
            self.delete_old(now)
        if self._total + size <= self._limits.most_bytes:
            return None
        for picture in reversed(self._scan()):
            if self._total + size <= self._limits.most_bytes:
                break
            if picture.label is None:
                self._remove(picture)
        return None if self._total + size <= self._limits.most_bytes else Kept.FULL

    # --- files and folders

    def _scan(self) -> list[CollectedPicture]:
        """Lists the pictures without their answers, the newest first, and adds up their sizes."""
        with self._lock:
            details = _sizes(self.folder / DETAILS)
            found = [
                CollectedPicture(
                    id=Path(file).stem,
                    label=self._label_of(folder.name),
                    is_held_out=root != self.folder,
                    path=folder / file,
                    size=size + sum(details.get(Path(file).stem + end, 0) for end in _BESIDE),
                    time=taken,
                )
                for root in (self.folder, self.folder / HELD_OUT)
                for folder in _subfolders(root)
                for file, size in _sizes(folder).items()
                if (taken := _time_of(file)) is not None
            ]
            self._total = sum(picture.size for picture in found)
            return sorted(found, key=lambda picture: picture.id, reverse=True)

    def _read_answer(self, picture_id: str) -> tuple[str, float] | None:
        path = self._details(picture_id, ".json")
        try:
            document = parse(read_bytes(path, _LARGEST_DETAILS), _LARGEST_DETAILS)
            return document.line("label"), document.number("confidence", 0, 1)
        except FileNotFoundError:
            return None
        except (OSError, DocumentError) as error:
            self._say_once(
                f"{path} is damaged ({error}), so the answer to this picture is not known any more; delete "
                "the picture, or label it."
            )
            return None

    def _remove(self, picture: CollectedPicture) -> None:
        _unlink(picture.path)
        for suffix in _BESIDE:
            _unlink(self._details(picture.id, suffix))
        self._total -= picture.size
        self._near_duplicates.remove(picture.id)
        self._answers.pop(picture.id, None)
        _remove_if_empty(picture.path.parent)

    def _details(self, picture_id: str, suffix: str) -> Path:
        return self.folder / DETAILS / (picture_id + suffix)

    def _folder_of(self, label: str | None, is_held_out: bool) -> Path:
        root = self.folder / HELD_OUT if is_held_out else self.folder
        return root / (UNLABELLED if label is None else _folder_name(label))

    def _label_of(self, folder_name: str) -> str | None:
        if folder_name == UNLABELLED:
            return None
        wanted = label_key(folder_name)
        known = (label for label in self.labels if label_key(label) == wanted)
        return next(known, folder_name)

    def _make_folder(self, folder: Path) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            below = folder.relative_to(self.folder)
            for one in (*reversed(below.parents), below):
                (self.folder / one).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"The folder {folder} cannot be made ({error.strerror}); name another one with --collect."
            ) from error

    def _say_once(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            self._say(sentence)


def _folder_name(label: str) -> str:
    """Returns the name of a class's folder; a folder cannot have a "/" in its name.

    Raises:
        OptionError: If a class cannot have this label.
    """
    name = " ".join(label.split()).replace("/", "-").replace("\\", "-")
    is_reserved = label_key(name) in map(label_key, (*RESERVED, UNLABELLED))
    if (
        not label_key(name)
        or len(name) > LONGEST_LABEL
        or name.startswith(".")
        or not name.isprintable()
        or is_reserved
    ):
        raise OptionError(
            f"A class cannot be called {label!r}; take a name of at most {LONGEST_LABEL} letters that does "
            f"not begin with a dot and is not {', '.join(RESERVED)} or {UNLABELLED}."
        )
    return name


def _encoded(suffix: str, picture: np.ndarray) -> bytes:
    cv2 = load_opencv()
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if suffix == ".jpg" else []
    _, encoded = cv2.imencode(suffix, picture, quality)
    return bytes(encoded)


def _time_of(file: str) -> float | None:
    """Reads when a picture was taken from its file name; None if it is not the name of one."""
    found = _FILE.fullmatch(file)
    if not found:
        return None
    with suppress(ValueError):  # there is no such day
        return datetime.strptime(found[1], "%Y%m%d-%H%M%S").replace(tzinfo=UTC).timestamp()
    return None


def _subfolders(folder: Path) -> list[Path]:
    with suppress(OSError):
        return [one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")]
    return []


def _sizes(folder: Path) -> dict[str, int]:
    """Lists the files of a folder with their sizes; an unreadable folder is empty."""
    with suppress(OSError):
        return {one.name: one.stat().st_size for one in folder.iterdir() if one.is_file()}
    return {}


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be deleted ({error.strerror}); check the rights of its folder."
        ) from error


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # it is not empty
        folder.rmdir()
