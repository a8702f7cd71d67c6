const socket = io();
const element = (id) => document.getElementById(id);
let room;

function show(text) {
  const line = document.createElement("li");
  line.dir = "auto";
  line.textContent = text;
  element("log").append(line);
  line.scrollIntoView();
}

async function join(next) {
  if (room && room !== next) await socket.emitWithAck("leave", room);
  room = next;
  await socket.emitWithAck("join", room);
  show(`You are in ${room}.`);
}

// A recovered session is in its rooms still, and is sent what it has missed.
socket.on("connect", () => socket.recovered || join(room ?? element("room").value));
socket.on("disconnect", () => show("The connection is lost …"));
socket.on("joined", (id) => show(`${id} is here.`));
socket.on("left", (id) => show(`${id} is gone.`));
socket.on("chat message", ({ from, text }) => show(`${from === socket.id ? "You" : from}: ${text}`));

element("join").addEventListener("submit", (event) => {
  event.preventDefault();
  join(element("room").value);
});

element("say").addEventListener("submit", (event) => {
  event.preventDefault();
  socket.emit("chat message", room, element("text").value);
  element("text").value = "";
});
