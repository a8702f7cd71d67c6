const socket = io();

socket.on("connect", async () => {
  document.getElementById("answer").textContent = await socket.emitWithAck("hello", "world");
});
