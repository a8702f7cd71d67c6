// What a browser remembers from visit to visit: who one is, which rooms one is in. The token is
// remembered by the tab only.

import { guestName } from "./names.ts";

const KEY = "parlour";
const TOKEN = "parlour.token";
/** Random bytes of the key by which the server knows a returning browser. */
const KEY_BYTES = 24;

export type AreaName = "lobby" | "members";

interface Place {
  /** The rooms one is in. */
  rooms: string[];
  /** The room one looked at last. */
  last: string;
  /** When the newest message was sent that one has seen in each room: milliseconds since 1970. */
  read?: Record<string, number>;
}

interface Stored {
  name: string;
  key: string;
  /** The member id that the server made of the key, once it is known. */
  me?: string;
  wantsNotifications?: boolean;
  places: Record<AreaName, Place>;
}

export const FIRST_ROOM = "general";

function fresh(): Stored {
  const place = () => ({ rooms: [FIRST_ROOM], last: FIRST_ROOM });
  return { name: guestName(), key: randomHex(KEY_BYTES), places: { lobby: place(), members: place() } };
}

function randomHex(bytes: number): string {
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A name for a message that nobody else gives one. */
export function messageId(): string {
  return randomHex(12);
}

/** A storage may be forbidden or full; then this visit is simply not remembered. */
function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}

export class Settings {
  readonly #stored: Stored;

  constructor() {
    const kept = attempt(() => JSON.parse(localStorage.getItem(KEY) ?? "null") as Partial<Stored> | null);
    this.#stored = { ...fresh(), ...kept };
    this.#save();
  }

  /** Tells when another tab of this browser has changed the name. */
  onRenamed(changed: (name: string) => void): void {
    addEventListener("storage", ({ key, newValue }) => {
      if (key !== KEY || newValue === null) return;
      const { name } = JSON.parse(newValue) as Stored;
      if (name === this.#stored.name) return;
      this.#stored.name = name;
      changed(name);
    });
  }

  get key(): string {
    return this.#stored.key;
  }

  get name(): string {
    return this.#stored.name;
  }

  set name(name: string) {
    this.#stored.name = name;
    this.#save();
  }

  get me(): string | undefined {
    return this.#stored.me;
  }

  set me(id: string | undefined) {
    if (id === undefined) delete this.#stored.me;
    else this.#stored.me = id;
    this.#save();
  }

  get wantsNotifications(): boolean {
    return this.#stored.wantsNotifications ?? false;
  }

  set wantsNotifications(wanted: boolean) {
    this.#stored.wantsNotifications = wanted;
    this.#save();
  }

  place(area: AreaName): Readonly<Place> {
    return this.#stored.places[area];
  }

  remember(area: AreaName, { rooms, last }: { rooms: string[]; last: string }): void {
    const { read = {} } = this.#stored.places[area];
    const kept = Object.fromEntries(Object.entries(read).filter(([room]) => rooms.includes(room)));
    this.#stored.places[area] = { rooms, last, read: kept };
    this.#save();
  }

  readUntil(area: AreaName, room: string): number | undefined {
    return this.#stored.places[area].read?.[room];
  }

  setReadUntil(area: AreaName, room: string, at: number): void {
    const place = this.#stored.places[area];
    place.read = { ...place.read, [room]: at };
    this.#save();
  }

  get token(): string | undefined {
    return attempt(() => sessionStorage.getItem(TOKEN)) ?? undefined;
  }

  set token(token: string | undefined) {
    attempt(() => {
      if (token === undefined) sessionStorage.removeItem(TOKEN);
      else sessionStorage.setItem(TOKEN, token);
    });
  }

  #save(): void {
    attempt(() => localStorage.setItem(KEY, JSON.stringify(this.#stored)));
  }
}
