'use client'

export default function GlobalError() {
  return (
    <html lang="en">
      <body>
        <h1>odigos-cp failed to show its pages</h1>
        <p>
          It is a fault of odigos-cp, not of what you did. <a href="/">Load it again</a>
        </p>
      </body>
    </html>
  )
}
