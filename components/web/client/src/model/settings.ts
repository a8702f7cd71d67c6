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
}

interface Stored {
  name: string;
  key: string;
  /** The member id that the server made of the key, once it is known. */
  me?: string;
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

  place(area: AreaName): Readonly<Place> {
    return this.#stored.places[area];
  }

  remember(area: AreaName, place: Place): void {
    this.#stored.places[area] = place;
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
