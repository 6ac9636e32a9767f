'use client'
import { QueryClientProvider } from '@tanstack/react-query'
import { useEffect, useState, type ReactNode } from 'react'
import { Icon } from '@/components/icons'
import { Notices } from '@/components/notices'
import { newQueryClient, useFreshness, useMeta } from '@/lib/queries'
import { ConnectionBanner } from './connection'
import { Header } from './header'
import { Keys } from './keys'
import { Unreadable } from './unreadable'

export function Shell({ children }: { children: ReactNode }) {
  const [client] = useState(newQueryClient)
  return (
    <QueryClientProvider client={client}>
      <Freshness />
      <Notices>
        <a
          href="#main"
          className="sr-only rounded-lg bg-accent-fill px-4 py-2 font-medium text-white focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-50"
        >
          Skip to the content
        </a>
        <Header />
        <ConnectionBanner />
        <Update />
        <Unreadable />
        <main id="main" tabIndex={-1} className="mx-auto max-w-6xl px-4 pt-7 pb-24 outline-none sm:px-6">
          {children}
        </main>
        <Keys />
      </Notices>
    </QueryClientProvider>
  )
}

function Freshness() {
  useFreshness()
  return null
}

/** The server was replaced by another version while this page was open. */
function Update() {
  const version = useMeta().data?.version
  const [first, setFirst] = useState(version)
  useEffect(() => setFirst((known) => known ?? version), [version])
  if (!first || !version || first === version) return null
  return (
    <div role="status" className="border-b border-line bg-accent-soft">
      <p className="mx-auto flex max-w-6xl items-center gap-3 px-4 py-2.5 sm:px-6">
        <Icon name="turning" className="size-4 text-accent" />
        odigos-cp {version} runs now; this page is of {first}.
        <button type="button" className="font-semibold text-accent underline" onClick={() => location.reload()}>
          Reload
        </button>
      </p>
    </div>
  )
}
