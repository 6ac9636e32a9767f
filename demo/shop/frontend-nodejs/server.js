'use strict';
// The shop's door: GET /buy?item=tea asks the cart, which asks pricing. It knows nothing of telemetry.
const http = require('node:http');

const port = Number(process.env.PORT || 8080);
const cart = process.env.CART_URL || 'http://cart:8080';

async function buy(url, response) {
  const item = url.searchParams.get('item') || 'tea';
  const answer = await fetch(`${cart}/cart?item=${encodeURIComponent(item)}`, { signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(`the cart answered ${answer.status}`);
  const order = await answer.json();
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ bought: order.item, total: order.total }));
}

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://shop');
  if (url.pathname === '/healthz') return response.end('ok\n');
  if (url.pathname !== '/buy') return response.writeHead(404).end('there is only /buy\n');
  return buy(url, response).catch((error) => {
    console.error(`buying failed: ${error.message}`);
    response.writeHead(502).end('the cart is closed\n');
  });
});

server.listen(port, () => console.log(`frontend listens on ${port}`));
process.on('SIGTERM', () => {
  server.close(() => console.log('frontend closed'));
  server.closeIdleConnections();
});
