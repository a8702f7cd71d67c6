// Notifications of the operating system, where the browser has them and the user wants them.

import type { Settings } from "./settings.ts";

/** `blocked`: the user once told the browser no; only the browser's own settings can change that. */
export type BellState = "unavailable" | "blocked" | "off" | "on";

/** How much of a message is shown. */
const SHOWN_CHARS = 200;

export class Bell {
  readonly #settings: Settings;
  #isUnavailable = typeof Notification === "undefined";

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  get state(): BellState {
    if (this.#isUnavailable) return "unavailable";
    if (Notification.permission === "denied") return "blocked";
    return Notification.permission === "granted" && this.#settings.wantsNotifications ? "on" : "off";
  }

  /** Turns it on or off; the browser asks for permission when it must. */
  async toggle(): Promise<void> {
    this.#settings.wantsNotifications = this.state !== "on";
    if (this.#settings.wantsNotifications && Notification.permission === "default") await Notification.requestPermission();
  }

  /** Shows a notification in the place of an earlier one of that tag. */
  ring(title: string, text: string, tag: string, onClick: () => void): void {
    if (this.state !== "on") return;
    try {
      const notification = new Notification(title, { body: text.slice(0, SHOWN_CHARS), tag, icon: "/parlour.svg" });
      notification.onclick = () => {
        window.focus();
        onClick();
        notification.close();
      };
    } catch {
      // Some phones have notifications for installed applications only.
      this.#isUnavailable = true;
    }
  }
}
