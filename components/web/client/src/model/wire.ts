// The chat's events as they are on the wire (docs/chat.md). Types, and how to tell an error and the same message.

export interface Member {
  id: string;
  name: string;
}

export interface Message {
  id: string;
  room: string;
  from: Member;
  text: string;
  /** Milliseconds since 1970. */
  at: number;
  /** Its place in the history, once we know it. Ids are their senders' own: several can have used one. */
  offset?: number;
}

/** Whether two are the same message: an id is unique among those of one sender in one room. */
export const isSame = (one: Message, other: Message): boolean => one.id === other.id && one.from.id === other.from.id;

export interface RoomInfo {
  name: string;
  members: number;
  messages: number;
}

/** Some of a room's members. */
export interface MembersPage {
  members: Member[];
  /** How many there are in all. */
  count: number;
  /** What the next page comes after, if there is one. */
  next?: string;
}

export interface Joined extends MembersPage {
  room: string;
  messages: Message[];
  offset: number;
}

/** An announcement or a shout. */
export interface Call {
  text: string;
  from: Member;
  at: number;
}

export interface Problem {
  code: string;
  message: string;
}

export interface ServerEvents {
  /** Where sessions are recovered, events end with their offset. */
  message: (message: Message, offset?: string) => void;
  joined: (event: { room: string; member: Member }) => void;
  left: (event: { room: string; member: Member }) => void;
  renamed: (event: { member: Member }) => void;
  typing: (event: { room: string; member: Member; typing: boolean }) => void;
  announcement: (call: Call) => void;
  shout: (call: Call) => void;
}

/** What an ack carries: what was asked for, or why not. */
export type Answer<T> = T | { error: Problem };

export interface ClientEvents {
  join: (room: string, ack: (answer: Answer<Joined>) => void) => void;
  leave: (room: string, ack: (answer: Answer<{ room: string }>) => void) => void;
  message: (
    message: { room: string; text: string; id: string },
    ack: (answer: Answer<{ id: string; at: number }>) => void,
  ) => void;
  typing: (typing: { room: string; typing: boolean }) => void;
  history: (
    page: { room: string; before?: number | string; limit?: number },
    ack: (answer: Answer<Message[]>) => void,
  ) => void;
  members: (page: { room: string; after?: string }, ack: (answer: Answer<MembersPage>) => void) => void;
  rooms: (ack: (answer: Answer<RoomInfo[]>) => void) => void;
  name: (name: string, ack: (answer: Answer<{ name: string }>) => void) => void;
  whoami: (ack: (answer: Answer<Member>) => void) => void;
  announce: (text: string, ack: (answer: Answer<{ at: number }>) => void) => void;
  shout: (text: string, ack: (answer: Answer<{ at: number }>) => void) => void;
}

/** The server's limits. */
export const MAX_NAME_CHARS = 40;
export const MAX_ROOM_CHARS = 64;
export const MAX_TEXT_BYTES = 16_384;
/** How many messages `join` brings, and how many we ask of `history`. */
export const PAGE = 50;

export function problemOf(answer: unknown): Problem | undefined {
  if (typeof answer === "object" && answer !== null && "error" in answer) {
    return answer.error as Problem;
  }
  return undefined;
}
