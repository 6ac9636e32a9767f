'use client'
/** Short news of what went well, with a way back. What goes wrong stays at the thing it is about, and is never here. */
import { createContext, useCallback, useContext, useEffect, useState, type ReactNode } from 'react'
import { Icon } from './icons'

interface Notice {
  text: string
  undo?: () => void
}

const SHOWN_MILLIS = 8_000
const Context = createContext<(notice: Notice) => void>(() => {})

export const useNotify = () => useContext(Context)

export function Notices({ children }: { children: ReactNode }) {
  const [notice, setNotice] = useState<Notice & { id: number }>()
  const notify = useCallback((next: Notice) => setNotice({ ...next, id: Date.now() }), [])
  const id = notice?.id
  useEffect(() => {
    if (id === undefined) return
    const timer = setTimeout(() => setNotice(undefined), SHOWN_MILLIS)
    return () => clearTimeout(timer)
  }, [id])
  return (
    <Context value={notify}>
      {children}
      <div role="status" className="pointer-events-none fixed inset-x-3 bottom-4 z-30 flex justify-center">
        {notice && (
          <div
            key={notice.id}
            className="pointer-events-auto flex max-w-full animate-appear items-center gap-3 rounded-xl border border-line bg-surface py-2.5 pr-2 pl-4 text-sm shadow-float"
          >
            <Icon name="check" className="size-5 text-ok" />
            <span className="min-w-0">{notice.text}</span>
            {notice.undo && (
              <button
                type="button"
                className="rounded-md px-2 py-1 font-semibold text-accent hover:bg-accent-soft"
                onClick={() => {
                  notice.undo?.()
                  setNotice(undefined)
                }}
              >
                Undo
              </button>
            )}
            <button
              type="button"
              aria-label="Dismiss"
              className="grid size-8 place-items-center rounded-md text-muted hover:bg-sunken"
              onClick={() => setNotice(undefined)}
            >
              <Icon name="close" />
            </button>
          </div>
        )}
      </div>
    </Context>
  )
}
