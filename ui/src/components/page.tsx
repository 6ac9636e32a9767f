import type { ReactNode } from 'react'

/** The head of a page: what it is about, and the one true sentence about it. */
export function PageHead({ title, sentence, actions }: { title: string; sentence?: ReactNode; actions?: ReactNode }) {
  return (
    <div className="mb-5 flex flex-wrap items-start gap-x-4 gap-y-3">
      <div className="min-w-0 flex-1 basis-72">
        <h1 className="text-2xl font-semibold tracking-tight">{title}</h1>
        <p className="mt-1 min-h-6 text-muted" aria-live="polite">
          {sentence}
        </p>
      </div>
      {actions}
    </div>
  )
}

export function Section({ title, aside, children }: { title: string; aside?: ReactNode; children: ReactNode }) {
  return (
    <section className="min-w-0">
      <div className="mb-2.5 flex min-h-7 items-center justify-between gap-3">
        <h2 className="text-base font-semibold">{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  )
}
