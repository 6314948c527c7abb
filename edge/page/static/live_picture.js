// The live picture: asks for the next frame when the last one is drawn, so that a slow connection skips frames.

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const shown = () =>
  document.hidden
    ? new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }))
    : null;

/** Draws each new frame on a canvas for as long as the page is open. */
export function watchPicture(canvas) {
  const context = canvas.getContext("2d");
  let last = 0;
  const draw = async () => {
    const answer = await fetch(`/snapshot.jpg?after=${last}`);
    if (answer.status !== 200) {
      last = 0; // the app may have been started again and count from the beginning
      await pause(500);
      return;
    }
    last = Number(answer.headers.get("X-Frame"));
    const bitmap = await createImageBitmap(await answer.blob());
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    }
    context.drawImage(bitmap, 0, 0);
    canvas.dataset.frame = last;
    bitmap.close();
  };
  (async () => {
    for (;;) {
      await shown();
      await draw().catch(() => pause(1000));
    }
  })();
  return { restart: () => (last = 0) };
}
