// The right side: who is in the room.

import type { Area } from "../model/area.ts";
import type { Room } from "../model/room.ts";
import { Avatar } from "./Avatar.tsx";

export function People({ area, room, name }: { area: Area; room: Room; name: string }) {
  const isMe = (id: string) => id === area.me;
  const members = [...room.members.values()]
    .map((member) => (isMe(member.id) && area.name === "lobby" ? { ...member, name } : member))
    .sort((a, b) => Number(isMe(b.id)) - Number(isMe(a.id)) || a.name.localeCompare(b.name));
  return (
    <>
      <h2 id="people">
        In this room <span class="total">{room.count}</span>
      </h2>
      <ul aria-labelledby="people">
        {members.map((member) => (
          <li key={member.id} data-testid="member" data-typing={room.typing.has(member.id)}>
            <Avatar member={member} />
            <span class="name">{member.name}</span>
            {isMe(member.id) && <span class="you">you</span>}
            {room.typing.has(member.id) && <Dots />}
          </li>
        ))}
      </ul>
      {room.nextMembers !== undefined && (
        <button type="button" class="more-people" data-testid="more-members" onClick={() => void area.loadMembers()}>
          Show more
        </button>
      )}
    </>
  );
}

export function Dots() {
  return (
    <span class="dots" aria-hidden="true">
      <i />
      <i />
      <i />
    </span>
  );
}
