// Follows a job to its end with Node's ws: node follow.mjs ws://127.0.0.1:7801 TOKEN JOB. Prints every message.
import WebSocket from "ws";

const [url, token, job] = process.argv.slice(2);
const socket = new WebSocket(`${url}/ws?jobId=${job}&after=0&token=${encodeURIComponent(token)}`);
socket.on("message", (data) => console.log(data.toString()));
socket.on("error", (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
socket.on("close", (code) => {
  if (code !== 1000) {
    console.error(`closed with ${code}`);
    process.exitCode = 1;
  }
});
