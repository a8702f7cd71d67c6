// One namespace of the chat: its socket, the rooms one is in, what can be done in them. After a reconnection
// its session is recovered, or it joins its rooms again; then it sends what was not confirmed.

import type { Socket } from "socket.io-client";
import type { Changes } from "./changes.ts";
import { folded } from "./namesakes.ts";
import { Room } from "./room.ts";
import { type AreaName, FIRST_ROOM, type Settings, messageId } from "./settings.ts";
import {
  type Call,
  type ClientEvents,
  type Joined,
  type Member,
  type Message,
  type Problem,
  type RoomInfo,
  type ServerEvents,
  PAGE,
  isSame,
  problemOf,
} from "./wire.ts";
import { isMentioned } from "./text.ts";
import type { Unsent } from "./unsent.ts";

/** How long an answer may take before the question is asked again: milliseconds. */
const PATIENCE = 10_000;

export type AreaSocket = Socket<ServerEvents, ClientEvents>;

export class Area {
  readonly name: AreaName;
  readonly socket: AreaSocket;
  /** The rooms one is in or about to enter. */
  readonly rooms = new Map<string, Room>();
  /** All rooms there are, as the server last said. */
  listed: RoomInfo[] = [];
  current: string;
  /** Our own member id, once we know it. */
  me: string | undefined;
  /** Why the server did not let us in. */
  refusal: Problem | undefined;
  /** Whether somebody looks at the current room. */
  isWatched: () => boolean = () => !document.hidden;
  onCall: (kind: "announcement" | "shout", call: Call) => void = () => {};
  /** Others said something that nobody here looks at. */
  onUnseen: (message: Message) => void = () => {};
  readonly #changes: Changes;
  readonly #settings: Settings;
  readonly #unsent: Unsent;
  /** Rooms that were left without a connection: a session that is recovered is still in them. */
  readonly #left = new Set<string>();
  /** Messages that this page sent. */
  readonly #own = new Set<string>();

  constructor(name: AreaName, socket: AreaSocket, changes: Changes, settings: Settings, unsent: Unsent) {
    this.name = name;
    this.socket = socket;
    this.#changes = changes;
    this.#settings = settings;
    this.#unsent = unsent;
    if (name === "lobby") this.me = settings.me;
    const place = settings.place(name);
    this.current = place.last;
    for (const room of new Set([...place.rooms, place.last])) this.#enter(room);
    this.#listen();
    changes.subscribe(() => this.#keepOutboxes());
  }

  get room(): Room {
    return this.#enter(this.current);
  }

  get unread(): number {
    return [...this.rooms.values()].reduce((sum, room) => sum + room.unread, 0);
  }

  /** Whether one of the unread messages mentions us. */
  get isMentioned(): boolean {
    return [...this.rooms.values()].some((room) => room.isMentioned);
  }

  readonly isMine = (message: { id: string; from: Member }): boolean => {
    // An id alone says nothing: others can use it for a message of theirs.
    return this.me === undefined ? this.#own.has(message.id) : message.from.id === this.me;
  };

  /** Whether this is what we are called in a room. */
  isMyName(room: Room, name: string): boolean {
    const me = this.me === undefined ? undefined : room.members.get(this.me);
    return me !== undefined && folded(me.name) === folded(name);
  }

  /** Looks at a room, and enters it if need be. */
  open(name: string): void {
    if (this.current !== name && this.isWatched()) this.lookAway();
    this.current = name;
    const room = this.#enter(name);
    room.look(this.isMine);
    this.#remember();
    if (this.socket.connected && !room.isJoined) void this.#join(room).then(() => this.refresh());
    this.#changes.notify();
  }

  /** Somebody looks at the current room again. */
  look(): void {
    this.room.look(this.isMine);
    this.#changes.notify();
  }

  /** Nobody looks at the current room any more. */
  lookAway(): void {
    const until = this.rooms.get(this.current)?.lookAway();
    if (until !== undefined) this.#settings.setReadUntil(this.name, this.current, until);
  }

  async leave(name: string): Promise<void> {
    const room = this.rooms.get(name);
    if (!room) return;
    room.exit();
    this.rooms.delete(name);
    this.#unsent.forget(this.name, name);
    if (this.current === name) this.open(this.rooms.keys().next().value ?? FIRST_ROOM);
    this.#remember();
    this.#changes.notify();
    if (!this.socket.connected) this.#left.add(name);
    await this.#ask(() => this.socket.timeout(PATIENCE).emitWithAck("leave", name));
    await this.refresh();
  }

  send(text: string, name: string): void {
    const room = this.room;
    const id = messageId();
    this.#own.add(id);
    room.outbox = [...room.outbox, { id, room: room.name, from: { id: this.me ?? "", name }, text, at: Date.now() }];
    room.newSince = undefined;
    this.#unsent.setOutbox(this.name, room.name, room.outbox);
    void this.#deliver(room, id);
    this.#changes.notify();
  }

  /** Sends what the server would not take once more. */
  retry(id: string): void {
    const room = this.room;
    room.outbox = room.outbox.map((outgoing) => {
      if (outgoing.id !== id) return outgoing;
      const { problem: _, ...again } = outgoing;
      return again;
    });
    void this.#deliver(room, id);
    this.#changes.notify();
  }

  discard(id: string): void {
    this.room.outbox = this.room.outbox.filter((outgoing) => outgoing.id !== id);
    this.#changes.notify();
  }

  type(isTyping: boolean): void {
    if (this.socket.connected && this.room.isJoined) {
      this.socket.volatile.emit("typing", { room: this.current, typing: isTyping });
    }
  }

  /** To everybody in the area; what went wrong, if something did. */
  async call(kind: "announce" | "shout", text: string): Promise<string | undefined> {
    const answer = await this.#ask(() => this.socket.timeout(PATIENCE).emitWithAck(kind, text));
    return answer === undefined ? "Not sent: there is no connection." : problemOf(answer)?.message;
  }

  async rename(name: string): Promise<string | undefined> {
    if (!this.socket.connected) return undefined;
    const answer = await this.#ask(() => this.socket.timeout(PATIENCE).emitWithAck("name", name));
    if (answer && !("error" in answer) && this.me !== undefined) {
      for (const room of this.rooms.values()) {
        if (room.members.has(this.me)) room.members.set(this.me, { id: this.me, name: answer.name });
      }
    }
    this.#changes.notify();
    return problemOf(answer)?.message;
  }

  /** Loads older messages of the room one looks at. */
  async loadMore(): Promise<void> {
    const room = this.room;
    const [oldest] = room.messages;
    if (!room.hasMore || room.isLoading || !room.isJoined || !oldest) return;
    const before = oldest.offset ?? oldest.id;
    room.isLoading = true;
    this.#changes.notify();
    const page = await this.#ask(() =>
      this.socket.timeout(PATIENCE).emitWithAck("history", { room: room.name, before, limit: PAGE }),
    );
    room.isLoading = false;
    const first = room.messages[0];
    if (Array.isArray(page) && first && isSame(first, oldest)) room.prepend(page);
    this.#changes.notify();
  }

  /** Loads more of those who are in the room one looks at. */
  async loadMembers(): Promise<void> {
    const room = this.room;
    const after = room.nextMembers;
    if (after === undefined || !room.isJoined) return;
    const page = await this.#ask(() =>
      this.socket.timeout(PATIENCE).emitWithAck("members", { room: room.name, after }),
    );
    if (page && !("error" in page) && room.nextMembers === after) room.addMembers(page);
    this.#changes.notify();
  }

  /** Forgets what was said and who said it. */
  forget(): void {
    this.#unsent.forget(this.name);
    this.#own.clear();
    this.listed = [];
    for (const name of [...this.rooms.keys()]) {
      this.rooms.delete(name);
      this.#enter(name);
    }
  }

  /** Asks which rooms there are. */
  async refresh(): Promise<void> {
    if (!this.socket.connected) return;
    const rooms = await this.#ask(() => this.socket.timeout(PATIENCE).emitWithAck("rooms"));
    if (Array.isArray(rooms)) this.listed = rooms;
    this.#changes.notify();
  }

  #listen(): void {
    const { socket } = this;
    socket.on("connect", () => void this.#connected());
    socket.on("disconnect", (reason) => {
      for (const room of this.rooms.values()) room.exit();
      // The token has ended, most likely. The answer to another attempt says so, and asks to sign in.
      if (reason === "io server disconnect") socket.connect();
      this.#changes.notify();
    });
    socket.on("connect_error", (error: Error & { data?: { code?: unknown } }) => {
      // An active socket tries again by itself: that is no refusal, only a broken line.
      if (!socket.active) this.refusal = { code: String(error.data?.code ?? ""), message: error.message };
      this.#changes.notify();
    });
    socket.on("message", (message, offset) => this.#receive(offset === undefined ? message : { ...message, offset: Number(offset) }));
    socket.on("joined", ({ room, member }) => this.#in(room, (room) => room.memberCame(member)));
    socket.on("left", ({ room, member }) => this.#in(room, (room) => room.memberWent(member)));
    socket.on("renamed", ({ member }) => {
      for (const room of this.rooms.values()) room.memberRenamed(member);
      this.#changes.notify();
    });
    socket.on("typing", ({ room, member, typing }) =>
      this.#in(room, (room) => {
        if (member.id === this.me) return;
        if (typing) room.startTyping(member, () => this.#changes.notify());
        else room.stopTyping(member.id);
      }),
    );
    socket.on("announcement", (call) => this.onCall("announcement", call));
    socket.on("shout", (call) => this.onCall("shout", call));
  }

  async #connected(): Promise<void> {
    this.refusal = undefined;
    this.#changes.notify();
    const { recovered } = this.socket;
    if (recovered) this.#leaveForGood();
    this.#left.clear();
    // With the session, what was said meanwhile has come; who is here now is asked anyway.
    for (const room of this.rooms.values()) if (recovered && room.resume()) this.#deliverAll(room);
    const joined = [...this.rooms.values()].map((room) => this.#join(room));
    await Promise.all(recovered && this.me !== undefined ? joined : [this.#askWhoWeAre(), ...joined]);
    await this.refresh();
  }

  async #join(room: Room): Promise<void> {
    const wasIn = room.isJoined;
    const answer = await this.#ask(() => this.socket.timeout(PATIENCE).emitWithAck("join", room.name));
    if (!answer || this.rooms.get(room.name) !== room) return;
    if ("error" in answer) room.problem = answer.error.message;
    else this.#entered(room, answer);
    this.#changes.notify();
    if (!wasIn) this.#deliverAll(room);
  }

  #entered(room: Room, answer: Joined): void {
    room.enter(answer);
    if (this.#isSeen(room)) {
      room.look(this.isMine);
      return;
    }
    const { newSince } = room;
    if (newSince === undefined) return;
    const unseen = room.messages.filter((message) => message.at > newSince && !this.isMine(message));
    room.unread = unseen.length;
    room.isMentioned = unseen.some(({ text }) => this.#mentionsUs(room, text));
  }

  #leaveForGood(): void {
    for (const name of this.#left) {
      if (!this.rooms.has(name)) void this.#ask(() => this.socket.timeout(PATIENCE).emitWithAck("leave", name));
    }
  }

  #deliverAll(room: Room): void {
    for (const { id, problem } of room.outbox) if (!problem) void this.#deliver(room, id);
  }

  /** Sends a message, again and again under the same id, until the server says what became of it. */
  async #deliver(room: Room, id: string): Promise<void> {
    while (this.socket.connected && room.isJoined) {
      const outgoing = room.outbox.find((outgoing) => outgoing.id === id);
      if (!outgoing) return;
      const { text } = outgoing;
      const answer = await this.#ask(() =>
        this.socket.timeout(PATIENCE).emitWithAck("message", { room: room.name, text, id }),
      );
      if (!answer) continue;
      if ("error" in answer) {
        const { message: problem } = answer.error;
        room.outbox = room.outbox.map((other) => (other.id === id ? { ...other, problem } : other));
      } else {
        room.confirmed(id, answer.at, { ...outgoing.from, id: this.me ?? "" });
      }
      this.#changes.notify();
      return;
    }
  }

  #receive(message: Message): void {
    if (this.#own.has(message.id) && this.me === undefined) this.#learn(message.from.id);
    this.#in(message.room, (room) => {
      const isNews = room.receive(message);
      if (!isNews || this.#isSeen(room) || this.isMine(message)) return;
      room.unread += 1;
      room.isMentioned ||= this.#mentionsUs(room, message.text);
      this.onUnseen(message);
    });
  }

  #isSeen(room: Room): boolean {
    return this.current === room.name && this.isWatched();
  }

  #mentionsUs(room: Room, text: string): boolean {
    const me = this.me === undefined ? undefined : room.members.get(this.me);
    return me !== undefined && isMentioned(text, me.name);
  }

  #keepOutboxes(): void {
    for (const room of this.rooms.values()) this.#unsent.setOutbox(this.name, room.name, room.outbox);
  }

  async #askWhoWeAre(): Promise<void> {
    const us = await this.#ask(() => this.socket.timeout(PATIENCE).emitWithAck("whoami"));
    if (us && !("error" in us)) this.#learn(us.id);
    this.#changes.notify();
  }

  /** The echo of our own message says who we are, too. */
  #learn(id: string): void {
    this.me = id;
    if (this.name === "lobby") this.#settings.me = id;
  }

  #enter(name: string): Room {
    let room = this.rooms.get(name);
    if (!room) {
      room = new Room(name);
      room.outbox = this.#unsent.outbox(this.name, name);
      for (const { id } of room.outbox) this.#own.add(id);
      room.newSince = this.#settings.readUntil(this.name, name);
      this.rooms.set(name, room);
    }
    return room;
  }

  #in(name: string, action: (room: Room) => void): void {
    const room = this.rooms.get(name);
    if (!room) return;
    action(room);
    this.#changes.notify();
  }

  /** An answer, or undefined where none came: too slow, or the connection broke. */
  async #ask<T>(question: () => Promise<T>): Promise<T | undefined> {
    if (!this.socket.connected) return undefined;
    return question().catch(() => undefined);
  }

  #remember(): void {
    this.#settings.remember(this.name, { rooms: [...this.rooms.keys()], last: this.current });
  }
}
