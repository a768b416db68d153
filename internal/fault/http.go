package fault

import "net/http"

// HTTPStatus returns the HTTP status that stands for the kind, as documented in docs/errors.md.
func HTTPStatus(kind Kind) int {
	switch kind {
	case NotFound:
		return http.StatusNotFound
	case AlreadyExists:
		return http.StatusConflict
	case Unauthenticated:
		return http.StatusUnauthorized
	case AccessDenied:
		return http.StatusForbidden
	case BadParameter:
		return http.StatusBadRequest
	case LimitExceeded:
		return http.StatusTooManyRequests
	case ConnectionProblem:
		return http.StatusServiceUnavailable
	case CompareFailed:
		return http.StatusPreconditionFailed
	default:
		return http.StatusInternalServerError
	}
}

// SQLState returns the five-character SQLSTATE under which a refusal of the kind is told to a client
// of an SQL database (PostgreSQL, appendix A "PostgreSQL Error Codes").
func SQLState(kind Kind) string {
	switch kind {
	case NotFound:
		return "3D000" // invalid_catalog_name
	case Unauthenticated, AccessDenied:
		return "28000" // invalid_authorization_specification
	case BadParameter:
		return "08P01" // protocol_violation
	case LimitExceeded:
		return "53300" // too_many_connections
	case ConnectionProblem:
		return "08006" // connection_failure
	default:
		return "58000" // system_error
	}
}
