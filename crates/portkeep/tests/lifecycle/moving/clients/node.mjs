// Asks on one HTTP/2 connection, three requests at a time, until its input ends; prints each answer, and each failure.
import http2 from 'node:http2';

const client = http2.connect(process.argv[2]);
let over = false;
process.stdin.on('end', () => (over = true)).resume();
client.on('error', error => console.log(`failed: ${error}`));

const ask = () => new Promise(resolve => {
  const request = client.request({ ':path': '/seen' });
  let text = '';
  request.setEncoding('utf8');
  request.on('data', part => (text += part));
  request.on('error', error => { text = `failed: ${error}`; over = true; });
  request.on('close', () => resolve(text));
  request.end();
});

const loop = async () => {
  while (!over) {
    console.log(await ask());
    await new Promise(resolve => setTimeout(resolve, 2));
  }
};

await Promise.all([loop(), loop(), loop()]);
client.close();
