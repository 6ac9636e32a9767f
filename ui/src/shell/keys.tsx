'use client'
/** Keys for who does not like the mouse. None of them works while a text is being typed. */
import { useRouter } from 'next/navigation'
import { useEffect, useRef, useState } from 'react'
import { Dialog } from '@/components/dialog'
import { TOKEN_NAMES } from '@/lib/filter'
import { currentConnection } from '@/lib/live'

export const SEARCH_ID = 'search'

const GO: Readonly<Record<string, string>> = { o: '/', a: '/sources/', d: '/destinations/', n: '/destinations/edit/' }

const HELP = [
  ['/', 'Search applications'],
  ['g then o', 'Overview'],
  ['g then a', 'Applications'],
  ['g then d', 'Destinations'],
  ['g then n', 'New destination'],
  ['?', 'This list'],
] as const

export function Keys() {
  const router = useRouter()
  const [helping, setHelping] = useState(false)
  const before = useRef('')
  useEffect(() => {
    function onKey(event: KeyboardEvent): void {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return
      const first = before.current
      before.current = event.key
      if (first === 'g' && GO[event.key] && currentConnection().phase !== 'lost') router.push(GO[event.key]!)
      else if (event.key === '?') setHelping(true)
      else if (event.key === '/') {
        event.preventDefault()
        const field = document.getElementById(SEARCH_ID)
        if (field) field.focus()
        else if (currentConnection().phase !== 'lost') router.push('/sources/?find=1')
      }
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [router])
  if (!helping) return null
  return (
    <Dialog title="Keys" onClose={() => setHelping(false)}>
      <dl className="grid grid-cols-[auto_1fr] items-baseline gap-x-5 gap-y-2.5">
        {HELP.map(([keys, what]) => (
          <div key={keys} className="contents">
            <dt>
              <kbd className="rounded-md border border-line bg-sunken px-2 py-0.5 font-mono">{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p className="mt-5 text-muted">
        The search field takes words, which must all occur, and tokens:{' '}
        {TOKEN_NAMES.map((token) => (
          <code key={token} className="mr-1.5 font-mono text-text">
            {token}:
          </code>
        ))}
        as in <code className="font-mono text-text">ns:shop lang:java state:failed</code>.
      </p>
    </Dialog>
  )
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
}
