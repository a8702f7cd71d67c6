// Tells the view that the model changed: once per frame, however much happened in it.

/** How long a hidden page, which has no frames, waits before it draws: milliseconds. */
const HIDDEN_DELAY = 200;

export class Changes {
  readonly #listeners = new Set<() => void>();
  #isPending = false;

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  notify(): void {
    if (this.#isPending) return;
    this.#isPending = true;
    const tell = () => {
      this.#isPending = false;
      for (const listener of this.#listeners) listener();
    };
    if (document.hidden) setTimeout(tell, HIDDEN_DELAY);
    else requestAnimationFrame(tell);
  }
}
