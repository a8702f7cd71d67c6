// The whole chat: one connection with two namespaces on it, which of them one looks at, and what is
// called out to all members. The page's address says which room is open.

import { Manager } from "socket.io-client";
import { Area, type AreaSocket } from "./area.ts";
import { Bell } from "./bell.ts";
import { Changes } from "./changes.ts";
import { type AreaName, Settings } from "./settings.ts";
import { subjectOf } from "./token.ts";
import { Unsent } from "./unsent.ts";
import type { Call, Message } from "./wire.ts";

/** How often the list of rooms is asked for while somebody looks: milliseconds. */
const REFRESH = 15_000;
/** How long to wait before knocking again where the server sent us away: milliseconds. */
const KNOCK_AGAIN = 4000;
/** How many announcements are shown at once. */
const MAX_NOTICES = 3;

export type Line = "connecting" | "connected" | "reconnecting" | "offline";

export interface Notice {
  key: number;
  kind: "announcement" | "shout" | "error";
  title: string;
  text: string;
  at: number;
}

export class Chat {
  readonly changes = new Changes();
  readonly settings = new Settings();
  readonly unsent = new Unsent();
  readonly bell = new Bell(this.settings);
  readonly lobby: Area;
  readonly members: Area;
  notices: Notice[] = [];
  isSigningIn = false;
  /** Which namespace one looks at. */
  shown: AreaName = "lobby";
  #wasConnected = false;
  #notices = 0;

  constructor() {
    const manager = new Manager({ reconnectionDelay: 500, reconnectionDelayMax: 4000, autoConnect: false });
    const { settings, changes, unsent } = this;
    const lobby = manager.socket("/", {
      auth: (give: (auth: object) => void) => give({ name: settings.name, key: settings.key }),
    } as object);
    const members = manager.socket("/members", {
      auth: (give: (auth: object) => void) => give({ token: settings.token }),
    } as object);
    this.lobby = new Area("lobby", lobby as AreaSocket, changes, settings, unsent);
    this.members = new Area("members", members as AreaSocket, changes, settings, unsent);
    this.#listen();
    this.#readAddress();
    lobby.connect();
    if (settings.token !== undefined) this.#enterMembers();
  }

  get area(): Area {
    return this[this.shown];
  }

  get line(): Line {
    if (this.lobby.socket.connected) return "connected";
    if (!navigator.onLine) return "offline";
    return this.#wasConnected ? "reconnecting" : "connecting";
  }

  get isSignedIn(): boolean {
    return this.settings.token !== undefined && this.members.refusal === undefined;
  }

  /** Looks at a room of an area; of the members' only when signed in. */
  open(area: AreaName, room = this[area].current): void {
    if (area === "members" && !this.isSignedIn) {
      this.askToken();
      return;
    }
    if (this.shown !== area && this.area.isWatched()) this.area.lookAway();
    this.shown = area;
    this.area.open(room);
    this.#writeAddress();
    this.changes.notify();
  }

  async leave(room: string): Promise<void> {
    const left = this.area.leave(room);
    this.#writeAddress();
    await left;
  }

  async rename(name: string): Promise<string | undefined> {
    this.settings.name = name;
    this.changes.notify();
    return this.lobby.rename(name);
  }

  askToken(): void {
    this.isSigningIn = true;
    this.changes.notify();
  }

  cancelSignIn(): void {
    this.isSigningIn = false;
    if (this.members.refusal) this.signOut();
    this.changes.notify();
  }

  async toggleBell(): Promise<void> {
    await this.bell.toggle();
    this.changes.notify();
  }

  signIn(token: string): void {
    // What somebody else has written and not sent is not to go out under this name.
    if (subjectOf(token) !== this.members.me) this.members.forget();
    this.settings.token = token;
    this.members.refusal = undefined;
    this.members.socket.disconnect();
    this.#enterMembers();
    this.changes.notify();
  }

  signOut(): void {
    this.settings.token = undefined;
    this.members.refusal = undefined;
    this.members.me = undefined;
    this.members.socket.disconnect();
    // What members said is not for whoever looks at this screen next.
    this.members.forget();
    if (this.shown === "members") this.open("lobby");
    this.changes.notify();
  }

  notify(kind: Notice["kind"], title: string, text: string, at = Date.now()): void {
    this.notices = [...this.notices, { key: ++this.#notices, kind, title, text, at }].slice(-MAX_NOTICES);
    this.changes.notify();
  }

  dismiss(key: number): void {
    this.notices = this.notices.filter((notice) => notice.key !== key);
    this.changes.notify();
  }

  #enterMembers(): void {
    const { token } = this.settings;
    this.members.me = token === undefined ? undefined : subjectOf(token);
    this.members.socket.connect();
  }

  #listen(): void {
    const { lobby, members, changes } = this;
    lobby.socket.on("connect", () => (this.#wasConnected = true));
    for (const { socket } of [lobby, members]) {
      socket.on("disconnect", (reason) => {
        if (reason === "io server disconnect") setTimeout(() => socket.connect(), KNOCK_AGAIN);
      });
    }
    lobby.socket.on("connect_error", () => {
      if (!lobby.socket.active) setTimeout(() => lobby.socket.connect(), KNOCK_AGAIN);
    });
    members.socket.on("connect", () => {
      if (!this.isSigningIn) return;
      this.isSigningIn = false;
      this.open("members");
    });
    members.socket.on("connect_error", () => {
      if (members.refusal && this.shown === "members") this.isSigningIn = true;
    });
    for (const area of [lobby, members]) area.isWatched = () => this.area === area && !document.hidden;
    for (const area of [lobby, members]) area.onUnseen = (message) => this.#unseen(area, message);
    this.settings.onRenamed((name) => {
      void lobby.rename(name);
      changes.notify();
    });
    members.onCall = (kind, call) => this.#called(kind, call);
    for (const event of ["online", "offline"]) addEventListener(event, () => changes.notify());
    addEventListener("hashchange", () => this.#readAddress());
    document.addEventListener("visibilitychange", () => (document.hidden ? this.area.lookAway() : this.#seen()));
    addEventListener("pagehide", () => {
      if (!document.hidden) this.area.lookAway();
    });
    setInterval(() => {
      if (!document.hidden) void this.area.refresh();
    }, REFRESH);
  }

  #called(kind: "announcement" | "shout", { from, text, at }: Call): void {
    const verb = kind === "announcement" ? "announces" : "shouts";
    const title = `${from.name} ${verb} to all members`;
    this.notify(kind, title, text, at);
    if (document.hidden) this.bell.ring(title, text, kind, () => this.open("members"));
  }

  #unseen(area: Area, { room, from, text }: Message): void {
    if (!document.hidden) return;
    this.bell.ring(`${from.name} in #${room}`, text, `${area.name} ${room}`, () => this.open(area.name, room));
  }

  #seen(): void {
    this.area.look();
    void this.area.refresh();
    this.changes.notify();
  }

  /** `#general` is the lobby's, `#members/general` the members'. */
  #readAddress(): void {
    const [first = "", second] = location.hash.slice(1).split("/").map(decode);
    if (first === "members" && second !== undefined) this.open("members", second || undefined);
    else if (first !== "") this.open("lobby", first);
    else this.open("lobby");
  }

  #writeAddress(): void {
    const room = encodeURIComponent(this.area.current);
    const hash = this.shown === "members" ? `#members/${room}` : `#${room}`;
    if (location.hash !== hash) history.pushState(null, "", hash);
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
