'use client'
/** Objects that odigos-cp cannot understand: whoever wrote them would look for them on a page, and they are on none. */
import { Command } from '@/components/code'
import { Icon } from '@/components/icons'
import { count, plural } from '@/lib/format'
import { useMeta } from '@/lib/queries'

const SHOWN = 3

export function Unreadable() {
  const meta = useMeta().data
  if (!meta || meta.unreadableCount === 0) return null
  const shown = meta.unreadable.slice(0, SHOWN)
  const more = meta.unreadableCount - shown.length
  return (
    <div role="status" className="border-b border-line bg-warn-soft">
      <div className="mx-auto flex max-w-6xl gap-3 px-4 py-3 sm:px-6">
        <Icon name="alert" className="mt-0.5 size-5 shrink-0 text-warn" />
        <div className="min-w-0 flex-1">
          <p className="font-semibold text-warn">
            {plural(meta.unreadableCount, 'object')} cannot be understood, and {meta.unreadableCount === 1 ? 'waits' : 'wait'} to be
            corrected or deleted.
          </p>
          <ul className="mt-2 space-y-3">
            {shown.map((one) => (
              <li key={`${one.kind}/${one.namespace}/${one.name}`} className="space-y-1.5">
                <p className="wrap-anywhere">
                  {one.kind}{' '}
                  <span className="font-medium">{one.namespace ? `${one.namespace}/${one.name}` : one.name}</span>: {one.why}.{' '}
                  <span className="text-muted">
                    {one.known ? 'What was last understood of it holds meanwhile.' : 'It has no effect meanwhile.'}
                  </span>
                </p>
                <Command text={one.kubectl} label={`Copy the command for ${one.name}`} />
              </li>
            ))}
          </ul>
          {more > 0 && <p className="mt-2 text-muted">And {count(more)} more: see the log of odigos-cp.</p>}
        </div>
      </div>
    </div>
  )
}
