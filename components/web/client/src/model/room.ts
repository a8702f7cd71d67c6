// One room as this page knows it: what was said, who is in it, who is typing, what is on its way out.
// It talks to nobody; the area it belongs to does.

import { type Joined, type Member, type MembersPage, type Message, PAGE, isSame } from "./wire.ts";

/** Somebody who said that they were typing and then nothing is not typing any more: milliseconds. */
const TYPING_ENDS = 6000;

/** Messages of which the older ones may be forgotten, and how many stay: history brings them back. */
const MANY = 600;
const ENOUGH = 300;

/** How many of the last messages are read out. */
const HEARD = 5;

/** A message of ours that the server has not confirmed. */
export interface Outgoing extends Message {
  /** Why the server will not take it. */
  problem?: string;
}

export class Room {
  readonly name: string;
  /** Confirmed messages in the server's order. */
  messages: Message[] = [];
  /** Ours that wait for confirmation, oldest first. */
  outbox: readonly Outgoing[] = [];
  /** Those we know of. */
  members = new Map<string, Member>();
  /** How many there are in all. */
  count = 0;
  /** After whom there are members that we were not told of yet. */
  nextMembers: string | undefined;
  readonly typing = new Map<string, { member: Member; timer: ReturnType<typeof setTimeout> }>();
  /** The last that came while we were here, for those who listen instead of looking. */
  heard: Message[] = [];
  unread = 0;
  /** Whether one of the unread ones mentions us. */
  isMentioned = false;
  /** Newer messages than this are new to us; undefined when none are: milliseconds since 1970. */
  newSince: number | undefined;
  /** Whether the server has us in it, on this connection. */
  isJoined = false;
  /** Whether it had us in it on the last one: with the session recovered, it has again. */
  #wasJoined = false;
  /** Why the server does not let us in. */
  problem: string | undefined;
  /** Whether there may be messages older than the oldest known. */
  hasMore = false;
  isLoading = false;

  constructor(name: string) {
    this.name = name;
  }

  /** What `join` answered. What was said while we were away is added; a gap is closed by forgetting. */
  enter({ messages, ...page }: Joined): void {
    this.isJoined = true;
    this.problem = undefined;
    this.members.clear();
    this.addMembers(page);
    const isKnown = (message: Message) => this.messages.some((known) => isSame(known, message));
    const isWhole = messages.length < PAGE;
    if (isWhole || !messages.some(isKnown)) {
      this.messages = messages;
      this.hasMore = !isWhole;
    } else {
      this.messages = [...this.messages, ...messages.filter((message) => !isKnown(message))];
    }
    this.#confirm(messages);
  }

  addMembers({ members, count, next }: MembersPage): void {
    for (const member of members) this.members.set(member.id, member);
    this.count = count;
    this.nextMembers = next;
  }

  /** Somebody came, whom we may know already. */
  memberCame(member: Member): void {
    if (!this.members.has(member.id)) this.count += 1;
    this.members.set(member.id, member);
  }

  /** Somebody went, whom we may not have known. */
  memberWent(member: Member): void {
    this.members.delete(member.id);
    this.count = Math.max(this.count - 1, this.members.size);
    this.stopTyping(member.id);
  }

  /** Somebody whom we know has another name now. */
  memberRenamed(member: Member): void {
    if (this.members.has(member.id)) this.members.set(member.id, member);
    const typing = this.typing.get(member.id);
    if (typing) typing.member = member;
  }

  /** Somebody looks at the room. If nothing is new in what the server sent, later messages are seen at once. */
  look(isMine: (message: Message) => boolean): void {
    this.unread = 0;
    this.isMentioned = false;
    if (this.isJoined && this.firstNew(isMine) === undefined) this.newSince = undefined;
  }

  /** Nobody looks any more: what comes after the newest message is new. When that one was sent. */
  lookAway(): number | undefined {
    if (this.messages.length > 0) this.newSince = Math.max(...this.messages.map(({ at }) => at));
    return this.newSince;
  }

  /** The first message of others that we have not seen. */
  firstNew(isMine: (message: Message) => boolean): Message | undefined {
    const { newSince } = this;
    if (newSince === undefined) return undefined;
    return this.messages.find((message) => message.at > newSince && !isMine(message));
  }

  /** Everybody we know of: who is here, and who has said what is loaded. */
  known(): Member[] {
    return [...this.members.values(), ...this.messages.map(({ from }) => from)];
  }

  /** The session was recovered: what was missed has come already. Whether we are in the room as before. */
  resume(): boolean {
    this.isJoined = this.#wasJoined;
    return this.isJoined;
  }

  /** The connection broke, or we left. */
  exit(): void {
    this.#wasJoined = this.isJoined;
    this.isJoined = false;
    for (const { timer } of this.typing.values()) clearTimeout(timer);
    this.typing.clear();
  }

  /** A message came. Whether it is news. */
  receive(message: Message): boolean {
    const at = this.messages.findLastIndex((known) => isSame(known, message));
    const isNews = at < 0;
    this.messages = isNews ? [...this.messages, message] : this.messages.with(at, { ...this.messages[at], ...message });
    if (isNews) this.heard = [...this.heard, message].slice(-HEARD);
    this.#confirm([message]);
    this.stopTyping(message.from.id);
    if (this.members.has(message.from.id)) this.members.set(message.from.id, message.from);
    return isNews;
  }

  /** Our message is stored; its echo may have come or not. */
  confirmed(id: string, at: number, from: Member): void {
    const sent = this.outbox.find((outgoing) => outgoing.id === id);
    if (sent) this.receive({ id, room: this.name, from, text: sent.text, at });
  }

  prepend(page: readonly Message[]): void {
    const isKnown = (message: Message) => this.messages.some((known) => isSame(known, message));
    this.messages = [...page.filter((message) => !isKnown(message)), ...this.messages];
    this.hasMore = page.length >= PAGE;
  }

  /** Forgets the oldest of very many messages. Whether there were. */
  trim(): boolean {
    if (this.messages.length <= MANY) return false;
    this.messages = this.messages.slice(-ENOUGH);
    this.hasMore = true;
    return true;
  }

  startTyping(member: Member, onEnd: () => void): void {
    this.stopTyping(member.id);
    const timer = setTimeout(() => {
      this.typing.delete(member.id);
      onEnd();
    }, TYPING_ENDS);
    this.typing.set(member.id, { member, timer });
  }

  stopTyping(id: string): void {
    clearTimeout(this.typing.get(id)?.timer);
    this.typing.delete(id);
  }

  #confirm(messages: readonly Message[]): void {
    if (this.outbox.length === 0) return;
    const confirmed = new Set(messages.map(({ id }) => id));
    this.outbox = this.outbox.filter(({ id }) => !confirmed.has(id));
  }
}
