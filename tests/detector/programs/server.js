require('http').createServer((q, s) => s.end('ok')).listen(Number(process.argv[2]) || 8080, '127.0.0.1')
if (process.env.TITLE) process.title = process.env.TITLE
