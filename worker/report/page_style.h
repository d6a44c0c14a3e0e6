#ifndef WORKER_REPORT_PAGE_STYLE_H_
#define WORKER_REPORT_PAGE_STYLE_H_

namespace g2ll::report {

// The style sheet of report.html: light and dark by the reader's setting, one
// column on a phone. Curve colours (s0..s3, k0..k3) are told apart by people
// with colour blindness too.
extern const char kPageStyle[];

}  // namespace g2ll::report

#endif  // WORKER_REPORT_PAGE_STYLE_H_
