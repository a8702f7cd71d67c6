const element = (id) => document.getElementById(id);
let socket;

function show(text) {
  const line = document.createElement("li");
  line.dir = "auto";
  line.textContent = text;
  element("log").append(line);
  line.scrollIntoView();
}

element("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  socket?.disconnect();
  socket = io("/members", { auth: { token: element("token").value.trim() } });
  socket.on("connect", () => show("You are in."));
  socket.on("connect_error", (error) => show(`You are not let in: ${error.message}`));
  socket.on("joined", (who) => show(`${who} is here.`));
  socket.on("left", (who) => show(`${who} is gone.`));
  socket.on("chat message", ({ from, text }) => show(`${from}: ${text}`));
});

element("say").addEventListener("submit", (event) => {
  event.preventDefault();
  socket?.emit("chat message", element("text").value);
  element("text").value = "";
});
