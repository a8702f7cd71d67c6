// What stands above the oldest message.

import type { Room } from "../model/room.ts";

export function Start({ room }: { room: Room }) {
  const isEmpty = room.messages.length + room.outbox.length === 0;
  const name = <bdi>{room.name}</bdi>;
  if (room.problem) return <p class="start problem">You cannot enter #{name}: {room.problem}</p>;
  if (room.isLoading) return <p class="start">Loading older messages…</p>;
  if (room.hasMore) return <p class="start" />;
  if (!room.isJoined && isEmpty) return <p class="start">Opening the door…</p>;
  if (!room.isJoined) return <p class="start" />;
  return (
    <div class="start welcome" data-empty={isEmpty}>
      <span aria-hidden="true">#</span>
      <p>
        {isEmpty ? (
          <strong>Nobody has said anything in {name} yet</strong>
        ) : (
          <strong>This is where {name} began</strong>
        )}
        {isEmpty && <small>Break the ice: whatever you say is kept for those who come later.</small>}
      </p>
    </div>
  );
}
