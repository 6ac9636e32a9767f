import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { NextConfig } from 'next'

/** The name of this build: the same sources always give the same files, and other sources never the same name. */
function buildId(): string {
  const hash = createHash('sha256').update(readFileSync('package-lock.json', 'utf8'))
  for (const name of readdirSync('src', { recursive: true, encoding: 'utf8' }).sort()) {
    if (/\.(tsx?|css|svg)$/.test(name)) hash.update(name).update(readFileSync(join('src', name), 'utf8'))
  }
  return hash.digest('hex').slice(0, 16)
}

const shared: NextConfig = {
  trailingSlash: true,
  reactStrictMode: true,
  poweredByHeader: false,
  devIndicators: false,
}

const exported: NextConfig = { ...shared, output: 'export', generateBuildId: async () => buildId() }

/** `npm run dev`: the API comes from the control plane on port 3000; compression would hold back the event stream. */
const developed: NextConfig = {
  ...shared,
  compress: false,
  rewrites: async () => [{ source: '/api/:path*', destination: 'http://localhost:3000/api/:path*' }],
}

export default process.env.NODE_ENV === 'development' ? developed : exported
